/* What stands where the hits would: nothing asked yet, working, nothing found, something wrong. */

import { icon, make, thumbnail } from "./dom.js";
import { enter } from "./service.js";

/* ideas: { examples: [text], pictures: [id] }. ask(part of a question) is called with what was chosen. */
export function welcome(facts, { examples, pictures }, ask) {
  const tries = examples.length > 0 && make("div", { class: "tries" }, ...examples.map((text) => make("button", { type: "button", class: "button", onclick: () => ask({ text }) }, text)));
  const looks = pictures.length > 0 && make("div", { class: "looks" }, ...pictures.map((id, n) =>
    make("button", { type: "button", "aria-label": `What looks like picture ${n + 1}`, onclick: () => ask({ likes: [{ id, against: false }] }) }, make("img", { src: thumbnail(id), alt: "", width: 88, height: 88 }))));
  return make("div", { class: "panel welcome" },
    make("h2", {}, "Find a place"),
    make("p", {}, `${facts.rows.toLocaleString("en")} pictures of ${facts.name} can be searched by what they show.`),
    tries && make("h3", {}, "Try"), tries,
    looks && make("h3", {}, tries ? "Or what looks like one of these" : "Begin with what looks like one of these"), looks,
    make("ul", { class: "hints" },
      hint("picture", "Drop or paste an aerial crop, a map tile or a street photo."),
      facts.extent && hint("pin", "Click the map to ask for that spot, or type a coordinate: 48.19, 15.39."),
      facts.extent && hint("box", "Draw a box or polygon on the map to search only there."),
      hint("less", "Put a minus before what you do not want: stadium -parking.")));
}

const hint = (sign, words) => make("li", {}, icon(sign), make("span", {}, words));

export function skeleton(count = 9) {
  return make("div", { class: "cards skeleton", "aria-hidden": "true" }, ...Array.from({ length: count }, () => make("div", { class: "card" })));
}

/* Nothing in the index is likely enough. show: lets the weak hits be seen. */
export function nothing({ hidden, note, total }, asked, show) {
  const words = total === 0 ? "No picture of the index lies in that region, layer and time."
    : note || `Even the best of ${total.toLocaleString("en")} pictures is more likely wrong than right.`;
  return make("div", { class: "panel nothing" }, icon("nothing"),
    make("h2", {}, asked ? `Nothing here matches “${asked}”` : "Nothing here matches"),
    make("p", {}, words),
    hidden > 0 && make("button", { type: "button", class: "button", onclick: show }, `Show ${hidden.toLocaleString("en")} weak ${hidden === 1 ? "match" : "matches"} all the same`));
}

export function noMap() {
  return make("div", { class: "panel" }, icon("broken"), make("h2", {}, "No map here"), make("p", {}, "This browser cannot draw it (WebGL is off). Everything else works."));
}

/* What went wrong, and the way on. */
export function trouble(error, again) {
  if (error.status === 401) return tokenAsked(again);
  const title = error.status === 0 ? "The service does not answer" : error.status === 429 ? "Too much at once" : "That cannot be answered";
  return make("div", { class: "panel bad", role: "alert" }, icon("broken"), make("h2", {}, title),
    make("p", {}, error.status === 0 ? "It may have been stopped. Start it again with “geoanchor serve”, then try once more." : error.message),
    make("button", { type: "button", class: "button", onclick: again }, "Try again"));
}

function tokenAsked(again) {
  const field = make("input", { type: "password", required: true, autocomplete: "current-password", "aria-label": "Token" });
  const said = make("p", { role: "status" }, "Whoever started it can tell you the token.");
  const form = make("form", { class: "token" }, field, make("button", { class: "button main" }, "Enter"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await enter(field.value)) again();
    else said.textContent = "That is not the token.";
  });
  return make("div", { class: "panel" }, icon("key"), make("h2", {}, "This service asks for a token"), said, form);
}
