/* Two pictures of the same ground, one over the other, with an edge that is moved by pointer or arrow keys. */

import { make } from "./dom.js";

/* under, over: nodes that fill a square. The range input is the edge, so that every device can move it. */
export function swipe(under, over, words, extras = []) {
  const range = make("input", { type: "range", min: 0, max: 100, value: 50, step: 1, "aria-label": words });
  const top = make("div", { class: "swipe-over" }, over);
  const frame = make("div", { class: "swipe" }, under, top, ...extras, make("span", { class: "swipe-edge", "aria-hidden": "true" }), range);
  const move = () => frame.style.setProperty("--edge", `${range.value}%`);
  range.addEventListener("input", move);
  move();
  return frame;
}
