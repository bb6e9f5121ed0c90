/* What is served: names and counts, and where the tiles of each layer lie. */

import { ask } from "./service.js";

const BACK_TO_FRONT = ["ground", "map", "aerial"];

/* { name, rows, layerNames, layers: [{ name, tilejson }] }; layers are those that have tiles. */
export async function readFacts() {
  const info = await ask("/api/info");
  const layerNames = Object.keys(info.layers ?? {});
  const asked = BACK_TO_FRONT.filter((name) => layerNames.includes(name)).map(async (name) => {
    try {
      return { name, tilejson: await ask(`/tiles/${name}.json`) };
    } catch {
      return null;
    }
  });
  const layers = (await Promise.all(asked)).filter(Boolean);
  return { name: layers[0]?.tilejson.name.split(": ")[0] ?? "this index", rows: info.rows, layerNames, layers };
}
