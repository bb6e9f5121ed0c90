/* Nodes without markup: nothing that comes from data is ever read as HTML. */

import { icon } from "./icons.js";

export { icon };

const SVG = "http://www.w3.org/2000/svg";

/* make("button", { class: "button", onclick: f, "aria-label": "Close" }, "Close"). Falsy children and attributes are left out. */
export function make(name, given = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else if (key === "data") Object.assign(node.dataset, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null && child !== false));
  return node;
}

/* A button with a picture of what it does, and with words for those who do not see it or wonder. */
export function iconButton(name, words, act, given = {}) {
  return make("button", { type: "button", class: "button plain icon-only", "aria-label": words, title: words, onclick: act, ...given }, icon(name));
}

/* Outlines laid over a picture of the same ground; paths are in a box of 100 x 100. */
export function overlay(paths, className) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", className);
  drawing.setAttribute("viewBox", "0 0 100 100");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true");
  for (const d of paths) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    drawing.append(path);
  }
  return drawing;
}

/* What a part of a drawing says when a pointer rests on it. */
export function svgTitle(words) {
  const title = document.createElementNS(SVG, "title");
  title.textContent = words;
  return title;
}

export const thumbnail = (id) => "/api/thumbnails/" + id.split("/").map(encodeURIComponent).join("/");

/* Resolves when what was changed so far has been drawn. */
export const nextFrame = () => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));

export function debounced(act, ms) {
  let timer;
  const later = (...given) => { clearTimeout(timer); timer = setTimeout(act, ms, ...given); };
  later.cancel = () => clearTimeout(timer);
  return later;
}

/* A short word at the bottom of the page, also read aloud. */
export function toast(words) {
  document.querySelector(".toast")?.remove();
  const note = make("p", { class: "toast", role: "status" }, words);
  document.body.append(note);
  setTimeout(() => note.remove(), 2600);
}

export async function copy(words, said) {
  try {
    await navigator.clipboard.writeText(words);
    toast(said);
  } catch {
    toast(words);
  }
}

/* A dialog that frees itself when it is closed; `body` fills it. */
export function openDialog(title, body, className = "") {
  const close = iconButton("close", "Close", () => dialog.close());
  const heading = make("h2", { id: "dialog-title" }, title);
  const dialog = make("dialog", { class: className, "aria-labelledby": "dialog-title" },
    make("div", { class: "dialog-head" }, heading, close), make("div", { class: "dialog-body" }, body));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
