/* Pictures that are asked with: read, made small enough to send, and kept while the tab lives, so that "back" finds them. */

import { readExif } from "./exif.js";

const SIDE_PX = 1024, PROBE_PX = 96, FLAT_SHARE = 0.45;
/* Compressed, a map is no longer flat but nearly so, and light; as smooth a photograph is of dark water. */
const SMOOTH_STEP = 3, SMOOTH_SHARE = 0.35, LIGHT = 190;
const kept = new Map();

/* A picture: { digest, name, layer, data (base64), url, position }. readable: the layers it may be of; a drone's picture has a camera too.
   Throws with one sentence when it is none. */
export async function readPicture(file, readable) {
  const bytes = await file.arrayBuffer();
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes], { type: file.type }));
  } catch {
    throw new Error(`${file.name || "That"} cannot be read as a picture; give JPEG, PNG or WebP`);
  }
  const { position, camera } = readExif(bytes);
  const canvas = drawn(bitmap, SIDE_PX);
  const layer = (position || camera) && readable.includes("ground") ? "ground" : isFlat(bitmap) ? "map" : "aerial";
  const url = layer === "map" ? canvas.toDataURL("image/png") : canvas.toDataURL("image/jpeg", 0.92);
  const picture = { digest: await digest(url), name: file.name || "pasted picture", layer, url, data: url.slice(url.indexOf(",") + 1), position };
  keep(picture);
  return picture;
}

/* A picture asked with before in this tab, or undefined. */
export function keptPicture(name) {
  if (!kept.has(name)) {
    try {
      const stored = sessionStorage.getItem("picture:" + name);
      if (stored) kept.set(name, JSON.parse(stored));
    } catch { /* Nothing is kept then. */ }
  }
  return kept.get(name);
}

function keep(picture) {
  kept.set(picture.digest, picture);
  try {
    sessionStorage.setItem("picture:" + picture.digest, JSON.stringify(picture));
  } catch { /* Too large for the tab's store: it lives until the next reload. */ }
}

function drawn(bitmap, side) {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/* Maps are drawn in flat colours; few photographs have many neighbouring pixels that are quite the same, or light and nearly so. */
function isFlat(bitmap) {
  const side = Math.min(PROBE_PX, bitmap.width, bitmap.height), canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, (bitmap.width - side) >> 1, (bitmap.height - side) >> 1, side, side, 0, 0, side, side);
  const { data } = pen.getImageData(0, 0, side, side);
  let same = 0, smooth = 0, light = 0;
  for (let n = 4; n < data.length; n += 4) {
    const step = Math.max(...[0, 1, 2].map((channel) => Math.abs(data[n + channel] - data[n + channel - 4])));
    same += step === 0;
    smooth += step <= SMOOTH_STEP;
    light += (data[n] + data[n + 1] + data[n + 2]) / 3;
  }
  const pixels = data.length / 4;
  return same / pixels > FLAT_SHARE || (smooth / pixels > SMOOTH_SHARE && light / pixels > LIGHT);
}

async function digest(text) {
  const bytes = new TextEncoder().encode(text);
  if (!crypto.subtle) return String(bytes.reduce((sum, byte) => (sum * 31 + byte) >>> 0, 7));
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(sum.slice(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
