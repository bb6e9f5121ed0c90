/* How the question was understood, piece by piece; each piece can be taken out or changed. */

import { icon, make, thumbnail } from "./dom.js";
import { latLng } from "./geometry.js";
import { keptPicture } from "./pictures.js";
import { regionWords } from "./question.js";

const KINDS = { aerial: "aerial picture", map: "map picture", ground: "ground photo" };
const LEADS = { not: "not", place: "place", coordinate: "at", time: "when", layer: "layer" };

/* readable: the layers that a picture may be of. change(part of a question) is called with what becomes other; edit(start, end) lets the words be written anew. */
export function chips(question, phrase, readable, { change, edit, showRegion }) {
  const { text, pictures, likes, at, region, layer, since, until, apart } = question;
  const rid = (list, one) => list.filter((other) => other !== one);
  return [
    ...(phrase?.chips ?? []).map((piece) => wordChip(piece, text, change, edit)),
    ...pictures.flatMap((picture) => pictureChips(picture, question, readable, change)),
    ...likes.map((like) => likeChip(like, () => change({ likes: rid(likes, like) }))),
    at && chip("coordinate", "near", latLng(at), () => change({ at: null })),
    region && chip("place", "only", regionWords(region), () => change({ region: null }), { act: showRegion, words: "Show the region" }),
    layer && chip("layer", "layer", layer === "aerial" ? "imagery" : layer, () => change({ layer: "" })),
    (since || until) && chip("time", "taken", [since && `since ${since}`, until && `until ${until}`].filter(Boolean).join(", "), () => change({ since: "", until: "" })),
    apart > 0 && chip("layer", "apart", `${apart} m or more`, () => change({ apart: 0 })),
  ].filter(Boolean);
}

function wordChip(piece, text, change, edit) {
  const { kind, label, start, end } = piece;
  const without = () => change({ text: (text.slice(0, start) + " " + text.slice(end)).replace(/\s+/g, " ").trim() });
  const lead = LEADS[kind] && !label.toLowerCase().startsWith(LEADS[kind]) ? LEADS[kind] : "";
  return chip(kind, lead, label, without, { act: () => edit(start, end), words: "Change" });
}

function pictureChips(picture, question, readable, change) {
  const known = keptPicture(picture.digest);
  const others = question.pictures.filter((other) => other !== picture);
  const offered = Object.entries(KINDS).filter(([value]) => readable.includes(value) || value === picture.layer);
  const kind = make("select", { "aria-label": "What the picture is" }, ...offered.map(([value, words]) => make("option", { value, selected: value === picture.layer }, words)));
  kind.addEventListener("change", () => change({ pictures: question.pictures.map((one) => (one === picture ? { ...one, layer: kind.value } : one)) }));
  const made = chip("picture", "", "", () => change({ pictures: others }));
  made.prepend(known ? make("img", { src: known.url, alt: known.name, width: 26, height: 26 }) : icon("picture"));
  made.querySelector(".chip-words").replaceWith(known ? kind : make("span", { class: "chip-words" }, "a picture that is not here; add it again"));
  if (!known?.position || question.at) return [made];
  const offer = make("li", { class: "chip offer" }, make("button", { type: "button", class: "chip-words", onclick: () => change({ at: known.position }) },
    icon("pin"), ` use the photo's position ${latLng(known.position)}`));
  return [made, offer];
}

function chip(kind, lead, label, remove, edit) {
  const words = [lead && make("span", { class: "lead" }, lead), " ", label];
  return make("li", { class: "chip", data: { kind } },
    edit ? make("button", { type: "button", class: "chip-words", title: edit.words, onclick: edit.act }, ...words) : make("span", { class: "chip-words" }, ...words),
    make("button", { type: "button", class: "chip-away", "aria-label": `Remove ${lead} ${label || "picture"}`.replace(/\s+/g, " "), onclick: remove }, icon("close")));
}

/* A picture of the index says more than its id. */
function likeChip({ id, against, segment }, remove) {
  const made = chip(against ? "not" : "like", against ? "not like" : "like", segment === undefined ? "this picture" : `part ${segment + 1} of this picture`, remove);
  made.title = id;
  made.prepend(make("img", { src: thumbnail(id), alt: "", width: 26, height: 26 }));
  return made;
}
