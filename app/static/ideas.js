/* What to type: names of places in the index, and texts that have true hits. A combobox (ARIA 1.2). */

import { debounced, icon, make } from "./dom.js";
import { ask } from "./service.js";

const PAUSE_MS = 120, SHORTEST = 2, MOST = 7;
/* The name being typed: what comes after the last "in", "near", "at" or comma, else all. */
const NAME = /(?:.*\b(?:in|near|at|around|by)\s+|.*,\s*|^)([^,]*)$/i;

export class Ideas {
  #input;
  #list = document.querySelector("#ideas");
  #examples;
  #picked;
  #at = -1;
  #turn = 0;

  /* picked(text): called with the text to ask. */
  constructor(input, examples, picked) {
    this.#input = input;
    this.#examples = examples;
    this.#picked = picked;
    const look = debounced(() => this.#look(), PAUSE_MS);
    input.addEventListener("input", look);
    input.addEventListener("keydown", (event) => this.#key(event));
    input.addEventListener("blur", () => setTimeout(() => this.close(), 120));
    input.form.addEventListener("submit", () => { look.cancel(); this.close(); });
  }

  close() {
    this.#turn++;
    this.#show([]);
  }

  async #look() {
    const text = this.#input.value, turn = ++this.#turn, low = text.trim().toLowerCase();
    const typed = text.trimEnd(), name = typed.match(NAME)?.[1] ?? typed, lead = typed.slice(0, typed.length - name.length);
    let places = [];
    if (name.length >= SHORTEST) {
      try {
        ({ places } = await ask(`/api/places?k=4&q=${encodeURIComponent(name)}`));
      } catch { /* Ideas are no matter to complain about. */ }
    }
    if (turn !== this.#turn || document.activeElement !== this.#input) return;
    const named = places.map((place) => ({ text: lead + place.name, note: place.kind, sign: "pin" }));
    const tried = low.length >= SHORTEST ? this.#examples.filter((one) => one.toLowerCase().includes(low) && one.toLowerCase() !== low) : [];
    this.#show([...named, ...tried.map((one) => ({ text: one, note: "", sign: "search" }))].slice(0, MOST));
  }

  #show(ideas) {
    this.#at = -1;
    this.#list.replaceChildren(...ideas.map((idea, n) => make("li", {
      id: `idea-${n}`, role: "option", "aria-selected": "false", data: { text: idea.text }, onpointerdown: (event) => { event.preventDefault(); this.#pick(idea.text); },
    }, icon(idea.sign), make("span", {}, idea.text), make("span", { class: "soft" }, idea.note))));
    this.#list.hidden = !ideas.length;
    this.#input.setAttribute("aria-expanded", String(ideas.length > 0));
    this.#input.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    const options = [...this.#list.children];
    if (!options.length) return;
    if (event.key === "Escape") { event.preventDefault(); this.close(); }
    else if (event.key === "Enter" && this.#at >= 0) { event.preventDefault(); this.#pick(options[this.#at].dataset.text); }
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      options[this.#at]?.setAttribute("aria-selected", "false");
      this.#at = (this.#at + (event.key === "ArrowDown" ? 1 : options.length - 1) + (this.#at < 0 && event.key === "ArrowUp" ? 1 : 0)) % options.length;
      options[this.#at].setAttribute("aria-selected", "true");
      this.#input.setAttribute("aria-activedescendant", options[this.#at].id);
    }
  }

  #pick(text) {
    this.close();
    this.#input.value = text;
    this.#picked(text);
  }
}
