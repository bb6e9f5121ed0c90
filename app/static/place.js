/* One place in full: its picture, what is known of it, and in what words the index would describe it. */

import { chance, picture, segment, title } from "./card.js";
import { copy, icon, make, openDialog } from "./dom.js";
import { latLng, osmAddress, placed } from "./geometry.js";
import { reasons } from "./reasons.js";
import { ask } from "./service.js";

/* acts: { like, unlike, part }, called with the hit. */
export function openPlace(hit, acts) {
  const words = make("ol", { class: "said" }, make("li", { class: "soft" }, "Reading the picture …"));
  const leave = (run) => () => { dialog.close(); run(hit); };
  const act = (sign, label, run) => make("button", { type: "button", class: "button", onclick: leave(run) }, icon(sign), label);
  const dialog = openDialog(`${hit.rank}. ${title(hit)}`, make("div", { class: "place" },
    make("div", { class: "shot" }, picture(hit, true), segment(hit, leave(acts.part))),
    make("div", { class: "place-facts" },
      chance(hit),
      make("p", { class: "why" }, reasons(hit).join(" · ")),
      make("div", { class: "row" }, act("more", "More like this", acts.like), act("less", "Not like this", acts.unlike),
        hit.why?.segment && act("polygon", "Like the outlined part", acts.part)),
      where(hit),
      make("h3", {}, "In words"), words,
      facts(hit))));
  describe(hit, words);
  return dialog;
}

export function where(hit) {
  if (!placed(hit)) return make("p", { class: "soft" }, "no position");
  const spot = latLng(hit);
  return make("div", { class: "row" },
    make("button", { type: "button", class: "button", title: "Copy latitude, longitude", onclick: () => copy(spot, `${spot} copied`) }, icon("pin"), spot),
    make("a", { class: "button", href: osmAddress(hit), target: "_blank", rel: "noopener noreferrer" }, icon("share"), "Open in OpenStreetMap"));
}

export function facts(hit) {
  const rows = {
    layer: hit.layer, score: hit.score.toFixed(4), tags: (hit.tags ?? []).join(", "), tile: hit.tile?.join("/"), "H3 cell": hit.cell,
    "metres a pixel": hit.gsd_m && hit.gsd_m.toFixed(2), taken: hit.acquired?.slice(0, 10), source: hit.source, attribution: hit.attribution, id: hit.id,
  };
  return make("dl", { class: "facts" }, ...Object.entries(rows).filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
}

async function describe({ id }, list) {
  try {
    const { texts } = await ask(`/api/describe/${id.split("/").map(encodeURIComponent).join("/")}?k=5`);
    const best = Math.max(...texts.map((one) => one.score), 1e-9);
    list.replaceChildren(...texts.map(({ text, score }) => {
      const bar = make("span", { class: "gauge", "aria-hidden": "true" });
      bar.style.setProperty("--share", Math.max(0, score / best));
      return make("li", {}, make("span", {}, text), bar, make("span", { class: "soft" }, score.toFixed(2)));
    }));
    if (!texts.length) list.replaceChildren(make("li", { class: "soft" }, "The index has no texts."));
  } catch (error) {
    list.replaceChildren(make("li", { class: "soft" }, error.message));
  }
}
