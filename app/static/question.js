/* What is asked, apart from how it is drawn: from and to the address, and to the Query that REST takes. */

import { keptPicture } from "./pictures.js";

export const PAGE = 60;
const AGAINST = -0.5;
const SHORTEST_KEPT = 6;

/* text: words as typed. likes: [{ id, against, segment }]. at: { lat, lng }. region: a Region. pictures: [{ digest, layer }]. */
export const NOTHING = Object.freeze({
  text: "", pictures: [], likes: [], at: null, region: null, layer: "", since: "", until: "", apart: 0, k: PAGE, weak: false,
});

export function isEmpty({ text, pictures, likes, at }) {
  return !text.trim() && !pictures.length && !likes.some((like) => !like.against) && !at;
}

/* The address's hash, e.g. "#q=stadium&layer=aerial&within=8.5,47.3,8.6,47.4". */
export function toHash(question) {
  const said = new URLSearchParams();
  const { text, pictures, likes, at, region, layer, since, until, apart, k, weak } = question;
  if (text.trim()) said.set("q", text.trim());
  for (const picture of pictures) said.append("picture", `${picture.digest}:${picture.layer}`);
  for (const { id, against, segment } of likes) said.append(against ? "unlike" : "like", segment === undefined ? id : `${id}#${segment}`);
  if (at) said.set("at", `${short(at.lat)},${short(at.lng)}`);
  if (region) said.set("within", regionText(region));
  for (const [name, value] of Object.entries({ layer, since, until })) if (value) said.set(name, value);
  if (apart) said.set("apart", apart);
  if (k !== PAGE) said.set("k", k);
  if (weak) said.set("weak", "1");
  return said.toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%2F", "/");
}

export function fromHash(hash) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const at = numbers(said.get("at"), 2);
  return {
    ...NOTHING,
    text: said.get("q") ?? "",
    pictures: said.getAll("picture").map((one) => ({ digest: one.split(":")[0], layer: one.split(":")[1] || "aerial" })),
    likes: [...said.getAll("like").map((id) => like(id, false)), ...said.getAll("unlike").map((id) => like(id, true))],
    at: at && { lat: at[0], lng: at[1] },
    region: regionOf(said.get("within")),
    layer: said.get("layer") ?? "",
    since: said.get("since") ?? "",
    until: said.get("until") ?? "",
    apart: Math.max(0, Number(said.get("apart")) || 0),
    k: Math.min(1000, Math.max(1, Number(said.get("k")) || PAGE)),
    weak: said.has("weak"),
  };
}

/* The Query: what the words were understood to ask, with all else that the page holds. */
export function toQuery(question, understood, offset = 0) {
  const { pictures, likes, at, region, layer, since, until, apart, k } = question;
  const parts = [...(understood?.parts ?? [])];
  for (const { digest, layer: kind } of pictures) {
    const picture = keptPicture(digest);
    if (picture) parts.push({ kind: "image", layer: kind, data: picture.data });
  }
  for (const { id, against, segment } of likes) {
    parts.push({ kind: "like", id, weight: against ? AGAINST : 1, ...(segment !== undefined && { segment }) });
  }
  if (at) parts.push({ kind: "point", lng: at.lng, lat: at.lat });
  const query = { ...understood, parts, k, offset };
  if (region) query.region = region;
  if (layer) query.layer = layer;
  if (since) query.since = since + "T00:00:00Z";
  if (until) query.until = until + "T23:59:59.999999Z";
  if (apart) query.suppress_m = apart;
  return query;
}

/* A region in a few words for people. */
export function regionWords(region) {
  if (region.kind === "polygon") return "in the drawn area";
  if (region.kind === "radius") return `within ${Math.round(region.radius_m)} m of ${short(region.lat)}, ${short(region.lng)}`;
  if (region.kind === "cells") return `in ${region.cells.length} cells`;
  return "in the box";
}

/* A region as parameters of an address of the service. */
export function regionParameters(region) {
  if (region.kind === "polygon") return { within: JSON.stringify(region.geometry) };
  if (region.kind === "radius") return { near: [region.lat, region.lng, region.radius_m].join(",") };
  return { within: regionText(region) };
}

/* A region as it stands in the page's own address. */
export function regionText(region) {
  if (region.kind === "bounds") return region.bounds.map(short).join(",");
  if (region.kind === "radius") return `r${short(region.lng)},${short(region.lat)},${Math.round(region.radius_m)}`;
  if (region.kind === "cells") return region.cells.join(",");
  return "p" + region.geometry.coordinates[0].flat().map(short).join(",");
}

export function regionOf(text) {
  if (!text) return null;
  if (/^[0-9a-f]{15}(,|$)/.test(text)) return { kind: "cells", cells: text.split(",") };
  const given = numbers(text.replace(/^[pr]/, ""));
  if (!given) return null;
  if (text[0] === "r" && given.length === 3) return { kind: "radius", lng: given[0], lat: given[1], radius_m: given[2] };
  if (text[0] === "p" && given.length >= 8 && given.length % 2 === 0) {
    const ring = given.flatMap((value, n) => (n % 2 ? [] : [[value, given[n + 1]]]));
    return { kind: "polygon", geometry: { type: "Polygon", coordinates: [ring] } };
  }
  return given.length === 4 ? { kind: "bounds", bounds: given } : null;
}

function like(text, against) {
  const at = text.lastIndexOf("#");
  return at < 0 ? { id: text, against } : { id: text.slice(0, at), against, segment: Number(text.slice(at + 1)) };
}

function numbers(text, count) {
  const found = (text ?? "").split(",").map(Number);
  const fits = text && found.every(Number.isFinite) && (count === undefined || found.length === count);
  return fits ? found : null;
}

const short = (number) => Number(number.toFixed(SHORTEST_KEPT));
