/* The hits as cards; a few hundred of them scroll without a stutter, for only those in sight are laid out. */

import { card } from "./card.js";
import { make, nextFrame } from "./dom.js";

const AT_ONCE = 24;

export class Gallery {
  #acts;
  #lit = null;
  #turn = 0;

  /* acts: as of a card, and `hover` (rank or null). */
  constructor(acts) {
    this.#acts = acts;
    this.node = make("ol", { class: "cards" });
    const rankOf = (event) => Number(event.target.closest?.(".card")?.dataset.rank) || null;
    this.node.addEventListener("mouseover", (event) => acts.hover(rankOf(event)));
    this.node.addEventListener("mouseleave", () => acts.hover(null));
    this.node.addEventListener("focusin", (event) => acts.hover(rankOf(event)));
    this.node.addEventListener("keydown", (event) => this.#walk(event));
  }

  /* The first cards are drawn before the others are made; resolves when all are there. */
  async show(hits) {
    const turn = ++this.#turn;
    this.node.replaceChildren(...hits.slice(0, AT_ONCE).map((hit) => card(hit, this.#acts)));
    this.#lit = null;
    if (hits.length <= AT_ONCE) return;
    await nextFrame();
    if (turn === this.#turn) this.add(hits.slice(AT_ONCE));
  }

  add(hits) {
    this.node.append(...hits.map((hit) => card(hit, this.#acts)));
  }

  light(rank, bringIntoSight = false) {
    this.#lit?.classList.remove("lit");
    this.#lit = rank === null ? null : this.node.querySelector(`#hit-${rank}`);
    this.#lit?.classList.add("lit");
    if (bringIntoSight) this.#lit?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  focus(rank) {
    this.node.querySelector(`#hit-${rank} .shot`)?.focus();
  }

  press(id, pressed) {
    for (const item of this.node.children) {
      if (item.dataset.hit === id) item.querySelector('[aria-label="Compare"]').setAttribute("aria-pressed", String(pressed));
    }
  }

  /* Arrow keys go from picture to picture. */
  #walk(event) {
    if (!event.target.classList.contains("shot")) return;
    const columns = getComputedStyle(this.node).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (!step) return;
    const items = [...this.node.children], next = items[items.indexOf(event.target.closest(".card")) + step];
    if (next) { event.preventDefault(); next.querySelector(".shot").focus(); }
  }
}
