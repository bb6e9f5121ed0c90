/* What stands on the map: which layer lies under the hits, heat and coverage, tools to draw a region. */

import { iconButton, make } from "./dom.js";
import { layerWords } from "./reasons.js";
import { sketch } from "./sketch.js";

/* acts: { base(name), heat(on), coverage(on) or null, region(region) }. Gives the legend. */
export function controls(frame, atlas, base, acts, { heatOn = false, coverageOn = false } = {}) {
  const names = [...atlas.layers.map(({ name }) => name), "none"];
  const bases = make("div", { class: "segmented", role: "group", "aria-label": "Under the hits" }, ...names.map((name) =>
    make("button", { type: "button", data: { base: name }, "aria-pressed": String(name === base), onclick: () => choose(name) }, name === "none" ? "None" : capital(layerWords(name)))));
  const choose = (name) => {
    for (const button of bases.children) button.setAttribute("aria-pressed", String(button.dataset.base === name));
    atlas.setBase(name);
    acts.base(name);
  };
  const overlays = make("div", { class: "segmented", role: "group", "aria-label": "Over it" },
    toggle("Heat", "The heat of each area", acts.heat, heatOn), acts.coverage && toggle("Coverage", "Where the index has pictures", acts.coverage, coverageOn));
  const legend = make("p", { class: "legend", hidden: !heatOn });
  const draw = async (kind) => {
    const region = await sketch(frame, atlas, kind);
    if (region) acts.region(region);
  };
  const region = make("div", { class: "stack", role: "group", "aria-label": "Search only in" },
    iconButton("box", "Draw a box to search in", () => draw("box")),
    iconButton("polygon", "Draw a polygon to search in", () => draw("polygon")),
    iconButton("view", "Search in what is seen", () => acts.region({ kind: "bounds", bounds: atlas.seen })));
  frame.append(make("div", { class: "map-left" }, names.length > 1 && bases, overlays, legend), make("div", { class: "map-right" }, region));
  atlas.setBase(base);
  return legend;
}

function toggle(label, title, act, on = false) {
  const button = make("button", { type: "button", "aria-pressed": String(on), title, onclick: () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    act(now);
  } }, label);
  return button;
}

const capital = (word) => word[0].toUpperCase() + word.slice(1);
