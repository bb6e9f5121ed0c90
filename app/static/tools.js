/* Above the hits: filters, a link to this very answer, the answer as a file. */

import { copy, icon, make } from "./dom.js";
import { layerWords } from "./reasons.js";

const FORMATS = [["geojson", "GeoJSON"], ["parquet", "GeoParquet"], ["csv", "CSV"]];

/* acts: { change(part), save(format) }. question(): what is asked now. */
export function tools(layers, question, acts) {
  return [
    menu("filter", "Filters", (close) => filters(layers, question(), (part) => { close(); acts.change(part); })),
    menu("save", "Export", (close) => make("div", { class: "menu-list" }, ...FORMATS.map(([format, words]) =>
      make("button", { type: "button", onclick: () => { close(); acts.save(format); } }, words)))),
    make("button", { type: "button", class: "button plain", onclick: () => copy(location.href, "Link copied") }, icon("share"), "Link"),
  ];
}

function menu(sign, label, content) {
  const button = make("button", { type: "button", class: "button plain", "aria-haspopup": "true", "aria-expanded": "false" }, icon(sign), label);
  const sheet = make("div", { class: "menu", hidden: true });
  const close = () => { sheet.hidden = true; button.setAttribute("aria-expanded", "false"); };
  const away = (event) => { if (!frame.contains(event.target)) close(); };
  const frame = make("div", { class: "menu-frame" }, button, sheet);
  button.addEventListener("click", () => {
    if (!sheet.hidden) { close(); return; }
    sheet.replaceChildren(content(() => { close(); button.focus(); }));
    sheet.hidden = false;
    button.setAttribute("aria-expanded", "true");
    sheet.querySelector("input, select, button")?.focus();
  });
  frame.addEventListener("keydown", (event) => { if (event.key === "Escape" && !sheet.hidden) { close(); button.focus(); } });
  document.addEventListener("pointerdown", away);
  return frame;
}

function filters(layers, now, apply) {
  const select = make("select", { name: "layer" }, make("option", { value: "" }, "all"), ...layers.map((name) => make("option", { value: name, selected: name === now.layer }, layerWords(name))));
  const input = (name, type, value, given = {}) => make("input", { name, type, value, ...given });
  const form = make("form", { class: "filters" },
    field("Layer", select),
    field("Taken since", input("since", "date", now.since)), field("until", input("until", "date", now.until)),
    field("Metres between hits", input("apart", "number", now.apart, { min: 0, step: 50 })),
    field("Hits on a page", input("k", "number", now.k, { min: 1, max: 1000 })),
    make("label", { class: "tick" }, make("input", { type: "checkbox", name: "weak", checked: now.weak }), "also weak matches"),
    make("button", { class: "button main" }, "Apply"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    apply({ layer: given.layer, since: given.since, until: given.until, apart: Number(given.apart) || 0, k: Math.min(1000, Math.max(1, Number(given.k) || now.k)), weak: "weak" in given });
  });
  return form;
}

const field = (words, control) => make("label", { class: "field" }, words, control);
