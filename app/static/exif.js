/* Where a photo was taken, from its own EXIF block (JPEG; TIFF 6.0 and EXIF 2.3 layout). */

const GPS = 0x8825, LAT_REF = 1, LAT = 2, LNG_REF = 3, LNG = 4, MAKE = 0x010f, RATIONAL = 5, ASCII = 2;

/* bytes: ArrayBuffer. { position: { lat, lng } or null, camera: whether one is named }. Never throws. */
export function readExif(bytes) {
  try {
    const block = exifBlock(new DataView(bytes));
    return block ? facts(block) : { position: null, camera: false };
  } catch {
    return { position: null, camera: false };
  }
}

function exifBlock(view) {
  if (view.getUint16(0) !== 0xffd8) return null;
  for (let at = 2; at + 4 <= view.byteLength;) {
    const marker = view.getUint16(at), length = view.getUint16(at + 2);
    if (marker === 0xffe1 && view.getUint32(at + 4) === 0x45786966) return new DataView(view.buffer, at + 10, length - 8);
    if ((marker & 0xff00) !== 0xff00 || marker === 0xffda) return null;
    at += 2 + length;
  }
  return null;
}

function facts(block) {
  const little = block.getUint16(0) === 0x4949;
  const main = entries(block, block.getUint32(4, little), little);
  const gps = main.has(GPS) ? entries(block, block.getUint32(main.get(GPS).at, little), little) : new Map();
  const lat = degrees(block, gps, LAT, LAT_REF, "S", little), lng = degrees(block, gps, LNG, LNG_REF, "W", little);
  const known = Number.isFinite(lat) && Number.isFinite(lng) && Math.abs(lat) <= 90 && Math.abs(lng) <= 180 && (lat !== 0 || lng !== 0);
  return { position: known ? { lat, lng } : null, camera: main.has(MAKE) };
}

/* tag -> { type, at }: where the value lies, or the pointer to it. */
function entries(block, start, little) {
  const found = new Map();
  for (let n = 0; n < block.getUint16(start, little); n++) {
    const at = start + 2 + 12 * n;
    found.set(block.getUint16(at, little), { type: block.getUint16(at + 2, little), at: at + 8 });
  }
  return found;
}

function degrees(block, gps, tag, refTag, negative, little) {
  const value = gps.get(tag), ref = gps.get(refTag);
  if (value?.type !== RATIONAL || ref?.type !== ASCII) return NaN;
  const start = block.getUint32(value.at, little);
  const part = (n) => block.getUint32(start + 8 * n, little) / block.getUint32(start + 8 * n + 4, little);
  const size = part(0) + (part(1) || 0) / 60 + (part(2) || 0) / 3600;
  return String.fromCharCode(block.getUint8(ref.at)) === negative ? -size : size;
}
