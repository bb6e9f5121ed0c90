/* One hit as a card: picture, how likely it is right, why, and what can be done with it. */

import { icon, iconButton, make, overlay, thumbnail } from "./dom.js";
import { latLng, placed } from "./geometry.js";
import { layerWords, likely, reasons } from "./reasons.js";

export function caption(hit) {
  return hit.caption || (hit.tags ?? []).slice(0, 4).join(", ") || "no caption";
}

/* acts: { open, like, unlike, compare }, each called with the hit. */
export function card(hit, acts) {
  const shot = make("button", { type: "button", class: "shot", "aria-label": `Open hit ${hit.rank}: ${caption(hit)}`, onclick: () => acts.open(hit) },
    picture(hit), segment(hit), make("b", { class: "rank" }, String(hit.rank)));
  return make("li", { class: "card", id: `hit-${hit.rank}`, data: { rank: hit.rank, hit: hit.id } },
    shot,
    make("div", { class: "card-facts" },
      chance(hit),
      make("p", { class: "caption" }, caption(hit)),
      make("p", { class: "why" }, reasons(hit).join(" · ")),
      make("p", { class: "where" }, placed(hit) ? latLng(hit) : "no position"),
      make("div", { class: "acts" },
        iconButton("more", "More like this", () => acts.like(hit)),
        iconButton("less", "Not like this", () => acts.unlike(hit)),
        iconButton("compare", "Compare", () => acts.compare(hit), { "aria-pressed": "false" }),
        iconButton("open", "Details", () => acts.open(hit)))));
}

export function picture(hit, eager = false) {
  const image = make("img", { alt: "", loading: eager ? "eager" : "lazy", decoding: "async", width: 256, height: 256 });
  image.addEventListener("error", () => image.replaceWith(make("span", { class: "blank" }, icon("picture"), "no picture")));
  image.src = thumbnail(hit.id);
  return image;
}

/* The part of the picture that matched, drawn over it; its corners are shares of the picture's width and height. */
export function segment(hit) {
  const ring = hit.why?.segment?.picture;
  return ring?.length ? overlay(["M" + ring.map(([x, y]) => `${100 * x} ${100 * y}`).join("L") + "Z"], "segment") : null;
}

export function chance(hit) {
  const words = likely(hit), layer = make("span", { class: "layer" }, layerWords(hit.layer));
  if (!words) return make("p", { class: "chance" }, make("strong", {}, hit.score.toFixed(3)), make("span", { class: "soft" }, "score"), layer);
  const gauge = make("span", { class: "gauge", "aria-hidden": "true" });
  gauge.style.setProperty("--share", hit.why.probability);
  return make("p", { class: "chance", title: `score ${hit.score.toFixed(4)}` }, make("strong", {}, words), gauge, make("span", { class: "sr" }, " likely"), layer);
}
