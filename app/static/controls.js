/* What stands on the map: which layer lies under the hits, heat and coverage, tools to draw a region. */

import { iconButton, make } from "./dom.js";
import { layerWords } from "./reasons.js";
import { sketch } from "./sketch.js";

/* acts: { base(name), heat(on), coverage(on), region(region) }. Gives { node, base }. */
export function controls(frame, atlas, base, acts) {
  const names = [...atlas.layers.map(({ name }) => name), "none"];
  const bases = make("div", { class: "segmented", role: "group", "aria-label": "Under the hits" }, ...names.map((name) =>
    make("button", { type: "button", data: { base: name }, "aria-pressed": String(name === base), onclick: () => choose(name) }, name === "none" ? "None" : capital(layerWords(name)))));
  const choose = (name) => {
    for (const button of bases.children) button.setAttribute("aria-pressed", String(button.dataset.base === name));
    atlas.setBase(name);
    acts.base(name);
  };
  const overlays = make("div", { class: "segmented", role: "group", "aria-label": "Over it" },
    toggle("Heat", "How well each area suits the question", acts.heat), toggle("Coverage", "Where the index has pictures", acts.coverage));
  const legend = make("p", { class: "legend", hidden: true });
  const draw = async (kind) => {
    const region = await sketch(frame, atlas, kind);
    if (region) acts.region(region);
  };
  const region = make("div", { class: "stack", role: "group", "aria-label": "Search only in" },
    iconButton("box", "Draw a box to search in", () => draw("box")),
    iconButton("polygon", "Draw a polygon to search in", () => draw("polygon")),
    iconButton("view", "Search in what is seen", () => acts.region({ kind: "bounds", bounds: atlas.seen })));
  frame.append(make("div", { class: "map-left" }, bases, overlays, legend), make("div", { class: "map-right" }, region));
  atlas.setBase(base);
  return { legend };
}

function toggle(label, title, act) {
  const button = make("button", { type: "button", "aria-pressed": "false", title, onclick: () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    act(on);
  } }, label);
  return button;
}

const capital = (word) => word[0].toUpperCase() + word.slice(1);
