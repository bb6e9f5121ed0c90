/* Two hits side by side; one over the other where they show the same ground. */

import { chance, picture, segment, title } from "./card.js";
import { make, openDialog, thumbnail } from "./dom.js";
import { metresBetween, placed } from "./geometry.js";
import { facts, where } from "./place.js";
import { distanceWords, layerWords, reasons } from "./reasons.js";
import { swipe } from "./swipe.js";

export class Compare {
  #chosen = [];
  #tray = make("div", { class: "tray", role: "region", "aria-label": "To compare", hidden: true });
  #press;
  #part;

  /* press(id, pressed): shows on the card whether it is chosen. part(hit): searches for its outlined part. */
  constructor(press, part) {
    this.#press = press;
    this.#part = part;
    document.body.append(this.#tray);
  }

  toggle(hit) {
    const has = this.#chosen.some(({ id }) => id === hit.id);
    this.#press(hit.id, !has);
    if (has) this.#chosen = this.#chosen.filter(({ id }) => id !== hit.id);
    else {
      if (this.#chosen.length === 2) this.#press(this.#chosen.shift().id, false);
      this.#chosen.push(hit);
    }
    this.#draw();
    if (!has && this.#chosen.length === 2) this.#open();
  }

  clear() {
    for (const { id } of this.#chosen) this.#press(id, false);
    this.#chosen = [];
    this.#draw();
  }

  #draw() {
    this.#tray.hidden = !this.#chosen.length;
    this.#tray.replaceChildren(
      ...this.#chosen.map((hit) => make("img", { src: thumbnail(hit.id), alt: `hit ${hit.rank}`, width: 40, height: 40 })),
      this.#chosen.length < 2 ? make("span", {}, "Choose another one to compare") : make("button", { type: "button", class: "button main", onclick: () => this.#open() }, "Compare"),
      make("button", { type: "button", class: "button", onclick: () => this.clear() }, "Clear"));
  }

  #open() {
    const [left, right] = this.#chosen;
    const same = left.bounds && right.bounds && left.bounds.every((edge, n) => Math.abs(edge - right.bounds[n]) < 1e-7);
    const apart = placed(left) && placed(right) && !same ? `${distanceWords(metresBetween(left, right))} apart` : "";
    const over = same && left.id !== right.id ? swipe(picture(right, true), picture(left, true), `How much of the ${layerWords(left.layer)} lies over the ${layerWords(right.layer)}`) : null;
    const search = (hit) => { dialog.close(); this.#part(hit); };
    const dialog = openDialog("Compare", make("div", { class: "compare" },
      over && make("div", { class: "compare-swipe" }, make("h3", {}, "The same ground"), over),
      apart && make("p", { class: "soft" }, apart),
      make("div", { class: "compare-pair" }, side(left, search), side(right, search))));
  }
}

function side(hit, search) {
  return make("section", { "aria-label": `Hit ${hit.rank}` }, make("h3", {}, `${hit.rank}. ${title(hit)}`),
    make("div", { class: "shot" }, picture(hit, true), segment(hit, search)), chance(hit), make("p", { class: "why" }, reasons(hit).join(" · ")), where(hit), facts(hit));
}
