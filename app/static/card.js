/* One hit as a card: picture, how likely it is right, why, and what can be done with it. */

import { icon, iconButton, make, overlay, svgTitle, thumbnail } from "./dom.js";
import { latLng, placed } from "./geometry.js";
import { layerWords, likely, reasons } from "./reasons.js";

/* What the index knows of it in words; often nothing. */
const caption = (hit) => hit.caption || (hit.tags ?? []).slice(0, 4).join(", ");

/* What to call it. */
export const title = (hit) => caption(hit) || `${layerWords(hit.layer)} ${placed(hit) ? `at ${latLng(hit)}` : fileName(hit)}`;

const fileName = ({ id }) => id.split("/").at(-1);

/* acts: { open, like, unlike, part, compare }, each called with the hit. */
export function card(hit, acts) {
  const shot = make("button", { type: "button", class: "shot", "aria-label": `Open hit ${hit.rank}: ${title(hit)}`, onclick: () => acts.open(hit) },
    picture(hit), segment(hit, acts.part), make("b", { class: "rank" }, String(hit.rank)));
  return make("li", { class: "card", id: `hit-${hit.rank}`, data: { rank: hit.rank, hit: hit.id } },
    shot,
    make("div", { class: "card-facts" },
      chance(hit),
      caption(hit) && make("p", { class: "caption" }, caption(hit)),
      make("p", { class: "why" }, reasons(hit).join(" · ")),
      make("p", { class: "where" }, placed(hit) ? latLng(hit) : fileName(hit)),
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

/* The part of the picture that matched, drawn over it; its corners are shares of the picture's width and height. search(hit): what a
   click on it does; who cannot click finds the same as a button in the details. */
export function segment(hit, search) {
  const ring = hit.why?.segment?.picture;
  if (!ring?.length) return null;
  const drawing = overlay(["M" + ring.map(([x, y]) => `${100 * x} ${100 * y}`).join("L") + "Z"], "segment"), outline = drawing.firstChild;
  outline.append(svgTitle("Search for this part"));
  outline.addEventListener("click", (event) => { event.stopPropagation(); event.preventDefault(); search(hit); });
  return drawing;
}

export function chance(hit) {
  const words = likely(hit), layer = make("span", { class: "layer" }, layerWords(hit.layer));
  if (!words) return make("p", { class: "chance" }, make("strong", {}, hit.score.toFixed(3)), make("span", { class: "soft" }, "score"), layer);
  const gauge = make("span", { class: "gauge", "aria-hidden": "true" });
  gauge.style.setProperty("--share", hit.why.probability);
  return make("p", { class: "chance", title: `score ${hit.score.toFixed(4)}` }, make("strong", {}, words), gauge, make("span", { class: "sr" }, " likely"), layer);
}
