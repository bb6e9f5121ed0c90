/* One place where map and imagery disagree: both pictures, one over the other, why, and the reviewer's decision. */

import { icon, iconButton, make, overlay, thumbnail } from "./dom.js";
import { draftOf, keepDraft } from "./drafts.js";
import { pathsOver, ringsOf } from "./geometry.js";
import { where } from "./place.js";
import { swipe } from "./swipe.js";

export const KEYS = [["j", "next"], ["k", "back"], ["a", "accept"], ["r", "reject"], ["h", "heat"], ["o", "outline"], ["n", "note"], ["u", "undo"]];
export const DONE = { accept: "accepted", reject: "rejected", open: "open again" };

/* shown: { heat, outline }, what lies over the pictures. acts: { decide(decision, note), undo() or null, show(shown), step(by) }. */
export function review(change, shown, acts) {
  const note = make("input", { name: "note", placeholder: "Note", "aria-label": "Note", maxlength: 2000, value: draftOf(change.id) ?? change.review?.note ?? "", oninput: () => keepDraft(change.id, note.value) });
  const button = (decision, words, sign, kind) => make("button", { type: "button", class: `button ${kind}`, data: { decision }, onclick: () => acts.decide(decision, note.value) },
    icon(sign), words, decision !== "open" && make("kbd", {}, decision[0]));
  return [
    pictures(change, shown),
    make("div", { class: "over-tools" },
      make("span", { class: "side-name" }, "map"), tick("heat", "Heat", "h", shown, acts), tick("outline", "Outline", "o", shown, acts), make("span", { class: "side-name" }, imageryWords(change))),
    make("div", { class: "review-facts" },
      make("h2", {}, make("b", { class: "rank-badge" }, String(change.rank)), change.cause, change.review && make("span", { class: "decided", data: { decision: change.review.decision } }, DONE[change.review.decision]),
        make("span", { class: "steps" }, acts.undo && iconButton("undo", "Undo the last decision", acts.undo), iconButton("back", "Back", () => acts.step(-1)), iconButton("next", "Next", () => acts.step(1)))),
      make("p", { class: "reason" }, change.reason),
      make("div", { class: "decide" }, button("accept", "Accept", "accept", "main"), button("reject", "Reject", "close", ""), change.review && button("open", "Take back", "undo", ""), note),
      make("p", { class: "soft" }, `Mismatch ${change.mismatch.toFixed(2)}; ${change.percentile >= 99.5 ? "worse than nearly all of the region" : `worse than ${Math.floor(change.percentile)} % of the region`}.`),
      where(change),
      change.attribution && make("p", { class: "soft small" }, change.attribution),
      make("p", { class: "keys", "aria-hidden": "true" }, ...KEYS.map(([key, words]) => make("span", {}, make("kbd", {}, key), words)))),
  ];
}

/* The map over the imagery; over both the evidence against the map, and the outline of what disagrees. Where there is no map they lie over the
   imagery alone, and the other side is empty. */
function pictures(change, shown) {
  const image = (id, words) => make("img", { src: thumbnail(id), alt: words });
  const heat = make("img", { class: "evidence", src: heatAddress(change), alt: "", hidden: !shown.heat });
  const lines = change.outline && overlay(pathsOver(ringsOf(change.outline), change.bounds), "disagreeing");
  if (lines) lines.toggleAttribute("hidden", !shown.outline);
  const imagery = image(change.aerial_id, "imagery"), over = [heat, lines].filter(Boolean), words = "How much of the map lies over the imagery";
  return change.map_id ? swipe(imagery, image(change.map_id, "map"), words, over)
    : swipe(make("div", {}, imagery, ...over), make("p", { class: "blank" }, "no map here"), words);
}

/* Which of both lies over the pictures now; everything else stays as it is. */
export function cover(stage, { heat, outline }) {
  stage.querySelector(".evidence").hidden = !heat;
  stage.querySelector(".disagreeing")?.toggleAttribute("hidden", !outline);
}

function tick(name, words, key, shown, acts) {
  const box = make("input", { type: "checkbox", name, checked: shown[name], onchange: () => acts.show({ [name]: box.checked }) });
  return make("label", { class: "tick" }, box, words, make("kbd", { "aria-hidden": "true" }, key));
}

/* A shifted map is shown as it lies; any other where it suits the picture best. */
function heatAddress({ id, cause }) {
  return `/api/changes/${encodeURIComponent(id)}/heat.png` + (cause === "shifted" ? "?max_offset=0" : "");
}

const imageryWords = ({ acquired }) => "imagery" + (acquired ? ` of ${acquired.slice(0, 10)}` : "");
