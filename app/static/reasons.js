/* Why a hit is one, in words for people. */

const LAYER_WORDS = { aerial: "imagery", map: "map", ground: "photo" };
export const layerWords = (layer) => LAYER_WORDS[layer] ?? layer;
const SILENT = new Set(["probability", "segment", "semantic", "structure"]);

/* "87 %", or "" where that cannot be told. */
export function likely({ why }) {
  const chance = why?.probability;
  if (typeof chance !== "number") return "";
  return chance >= 0.995 ? "> 99 %" : chance < 0.01 ? "< 1 %" : `${Math.round(100 * chance)} %`;
}

/* Short pieces, the most telling first. */
export function reasons({ why }) {
  const said = [];
  for (const [name, value] of Object.entries(why ?? {})) {
    if (SILENT.has(name) || value === null || value === "" || value === false) continue;
    const words = (SPOKEN[name] ?? plain)(value, name);
    if (words) said.push(words);
  }
  return said;
}

const SPOKEN = {
  relation: (found) => {
    if (!found.object_id) return `${found.subject}, but no ${found.object} near`;
    return `${found.subject} ${found.distance_m ? `${Math.round(found.distance_m)} m from` : "with"} ${found.object}`;
  },
  parts: (parts) => parts.length > 1 ? parts.map(part).filter(Boolean).join(", ") : "",
  tags: (share) => share >= 1 ? "tagged so on the map" : share > 0 ? "partly tagged so on the map" : "tagged as unwanted on the map",
  distance_m: (metres) => `${distanceWords(metres)} away`,
  holds_point: () => "holds the point",
  offset,
  scale: (side) => `shows ${Math.round(100 * side)} % of the side`,
  offset_m: (offset) => Array.isArray(offset) ? `map lies off by ${offset.map(Math.round).join(", ")} m` : "",
};

/* Shares of a hit's side east and south; half a percent is as good as nothing. */
function offset(shares) {
  const ways = [["west", "east"], ["north", "south"]].map((way, axis) => [Math.abs(shares[axis]), way[Number(shares[axis] > 0)]]);
  const off = ways.filter(([share]) => share >= 0.005).map(([share, way]) => `${(100 * share).toFixed(1)} % ${way}`);
  return off.length ? `map lies ${off.join(" and ")} of its place` : "map lies in its place";
}

export function distanceWords(metres) {
  return metres < 1000 ? `${Math.round(metres)} m` : `${(metres / 1000).toFixed(metres < 10_000 ? 1 : 0)} km`;
}

function part(one) {
  const [kind, what] = Object.entries(one).find(([name]) => name !== "weight" && name !== "score") ?? [];
  const words = kind === "text" ? what : kind === "image" ? `${layerWords(what)} picture` : kind === "like" ? "alike" : kind;
  return `${one.weight < 0 ? "not " : ""}${words} ${Number(one.score).toFixed(2)}`;
}

function plain(value, name) {
  const words = name.replaceAll("_", " ");
  if (typeof value === "number") return `${words} ${Number(value.toPrecision(3))}`;
  if (typeof value === "string") return `${words}: ${value}`;
  return value === true ? words : "";
}
