/* Drawing a box or a polygon over the map; the map holds still meanwhile. */

import { wrapped, wrappedRing } from "./geometry.js";
import { make, overlay } from "./dom.js";

const SMALLEST_PX = 6;

/* A Region, or null when it was given up (Escape). kind: "box" or "polygon". */
export function sketch(frame, atlas, kind) {
  return new Promise((done) => {
    const words = kind === "box" ? "Drag a box · Esc to stop" : "Click corners · double click or Enter to close · Esc to stop";
    const drawing = overlay([""], "sketch-lines");
    const sheet = make("div", { class: "sketch", tabindex: "-1", role: "application", "aria-label": words }, drawing, make("p", { class: "sketch-help" }, words));
    const finish = (region) => { sheet.remove(); done(region); };
    frame.append(sheet);
    sheet.focus({ preventScroll: true });
    drawing.removeAttribute("viewBox");
    const line = drawing.firstChild;
    sheet.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); finish(null); } });
    (kind === "box" ? boxOn : polygonOn)(sheet, line, atlas, finish);
  });
}

function boxOn(sheet, line, atlas, finish) {
  let start = null;
  sheet.addEventListener("pointerdown", (event) => { start = at(event, sheet); sheet.setPointerCapture(event.pointerId); });
  sheet.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [x, y] = at(event, sheet);
    line.setAttribute("d", `M${start[0]} ${start[1]}H${x}V${y}H${start[0]}Z`);
  });
  sheet.addEventListener("pointerup", (event) => {
    const end = at(event, sheet);
    if (!start || Math.hypot(end[0] - start[0], end[1] - start[1]) < SMALLEST_PX) { start = null; return; }
    const [west, south] = atlas.unproject(start), [east, north] = atlas.unproject(end);
    finish({ kind: "bounds", bounds: wrapped([west, south, east, north]) });
  });
}

function polygonOn(sheet, line, atlas, finish) {
  const corners = [];
  const draw = (loose) => line.setAttribute("d", corners.length ? "M" + [...corners, ...(loose ? [loose] : [])].map((c) => c.join(" ")).join("L") + (loose ? "" : "Z") : "");
  const close = () => {
    if (corners.length < 3) return;
    const ring = wrappedRing(corners.map((corner) => atlas.unproject(corner)));
    finish({ kind: "polygon", geometry: { type: "Polygon", coordinates: [[...ring, ring[0]]] } });
  };
  sheet.addEventListener("pointermove", (event) => draw(at(event, sheet)));
  sheet.addEventListener("click", (event) => {
    const corner = at(event, sheet), last = corners.at(-1);
    if (event.detail > 1 || (last && Math.hypot(corner[0] - last[0], corner[1] - last[1]) < SMALLEST_PX)) { close(); return; }
    corners.push(corner);
    draw(corner);
  });
  sheet.addEventListener("keydown", (event) => { if (event.key === "Enter") close(); });
}

function at(event, sheet) {
  const { left, top } = sheet.getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
}
