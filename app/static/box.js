/* The search box: words, chips, ideas while typing, pictures dropped, pasted or chosen. */

import { chips } from "./chips.js";
import { debounced, toast } from "./dom.js";
import { readPicture } from "./pictures.js";
import { NOTHING } from "./question.js";
import { ask } from "./service.js";

const PAUSE_MS = 140, MOST_PHRASES = 200;

/* Events: "asked" with the whole question, whenever it is to be answered. */
export class Box extends EventTarget {
  #form = document.querySelector("form.ask");
  #input = document.querySelector("#words");
  #chips = document.querySelector(".chips");
  #phrases = new Map();
  #question = NOTHING;
  #handlers;

  /* Layers of pictures that the index can be asked with. */
  readable = [];

  constructor(showRegion) {
    super();
    if (matchMedia("(max-width: 600px)").matches) this.#input.placeholder = "What to find";
    this.#handlers = { change: (part) => this.change(part), edit: (start, end) => this.#edit(start, end), showRegion };
    this.#form.addEventListener("submit", (event) => { event.preventDefault(); this.change({ text: this.#input.value }); });
    const understand = debounced(() => this.#understandTyped(), PAUSE_MS);
    this.#input.addEventListener("input", understand);
    document.querySelector("#attach").addEventListener("click", () => document.querySelector("#file").click());
    document.querySelector("#file").addEventListener("change", ({ target }) => { this.#take([...target.files]); target.value = ""; });
    this.#acceptDrops();
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.target.closest("input, select, textarea, dialog")) return;
      event.preventDefault();
      this.#input.focus();
    });
  }

  get input() {
    return this.#input;
  }

  /* Ask again with something else in the question. */
  change(part) {
    this.dispatchEvent(new CustomEvent("asked", { detail: { ...this.#question, text: this.#input.value, ...part } }));
  }

  /* Show a question and how it was understood. */
  show(question, phrase) {
    this.#question = question;
    if (this.#input.value !== question.text) this.#input.value = question.text;
    this.#chips.replaceChildren(...chips(question, phrase, this.readable, this.#handlers));
  }

  /* What a text means, asked for but once, whoever asks: no question's end ends it for another. */
  async understand(text) {
    const words = text.trim();
    if (!words) return null;
    if (!this.#phrases.has(words)) {
      const asked = ask("/api/parse", { body: { text: words } });
      asked.catch(() => this.#phrases.delete(words));
      if (this.#phrases.size > MOST_PHRASES) this.#phrases.clear();
      this.#phrases.set(words, asked);
    }
    return this.#phrases.get(words);
  }

  async #understandTyped() {
    const text = this.#input.value.trim();
    try {
      const phrase = await this.understand(text);
      if (this.#input.value.trim() === text) this.#chips.replaceChildren(...chips({ ...this.#question, text }, phrase, this.readable, this.#handlers));
    } catch { /* It is said when it is asked. */ }
  }

  #edit(start, end) {
    const indent = this.#input.value.length - this.#input.value.trimStart().length;
    this.#input.focus();
    this.#input.setSelectionRange(start + indent, end + indent);
  }

  async #take(files) {
    const taken = [];
    for (const file of files) {
      try {
        const { digest, layer } = await readPicture(file, this.readable);
        taken.push({ digest, layer });
      } catch (error) {
        toast(error.message);
      }
    }
    const fresh = taken.filter(({ digest }) => !this.#question.pictures.some((old) => old.digest === digest));
    if (fresh.length) this.change({ pictures: [...this.#question.pictures, ...fresh] });
  }

  #acceptDrops() {
    const zone = document.querySelector(".dropzone");
    const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    addEventListener("dragenter", (event) => { if (hasFiles(event)) zone.hidden = false; });
    addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
    zone.addEventListener("dragleave", () => { zone.hidden = true; });
    addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      zone.hidden = true;
      this.#take(event.dataTransfer.files);
    });
    addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length) { event.preventDefault(); this.#take(files); }
    });
  }
}
