/* What is served: names and counts, and where the tiles of each layer lie. */

import { around, boxRing } from "./geometry.js";
import { ask } from "./service.js";

/* An overview tile of a large index is put together from hundreds of pictures: far out, its coverage is shown instead. */
const LARGE = 20_000, STEPS_OUT = 3;
const BACK_TO_FRONT = ["ground", "map", "aerial"];

/* { isLarge, name, rows, layerNames, layers: [{ name, tilejson }], readable, extent }; layers are those that have tiles, readable are the layers of
   pictures that can be asked with, extent is null where no picture has a place. */
export async function readFacts() {
  const info = await ask("/api/info");
  const layerNames = Object.keys(info.layers ?? {});
  const readable = BACK_TO_FRONT.filter((name) => Object.values(info.spaces).some(({ modalities }) => modalities.includes(name)));
  const asked = BACK_TO_FRONT.filter((name) => layerNames.includes(name)).map(async (name) => {
    try {
      return { name, tilejson: await ask(`/tiles/${name}.json`) };
    } catch {
      return null;
    }
  });
  const layers = (await Promise.all(asked)).filter(Boolean);
  const isLarge = info.rows > LARGE;
  if (isLarge) for (const { tilejson } of layers) tilejson.minzoom = Math.max(tilejson.minzoom, tilejson.maxzoom - STEPS_OUT);
  const extent = around(layers.length ? layers.flatMap(({ tilejson: { bounds } }) => boxRing(bounds)) : await cells());
  return { isLarge, name: layers[0]?.tilejson.name.split(": ")[0] ?? "this index", rows: info.rows, layerNames, layers, readable, extent };
}

/* Corners of where there are pictures at all. */
async function cells() {
  const { features } = await ask("/api/coverage");
  return features.flatMap(({ geometry: { coordinates } }) => coordinates[0]);
}
