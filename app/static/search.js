/* The search page: a question from box, map and address; its answer as cards and pins. */

import { Atlas } from "./atlas.js";
import { Box } from "./box.js";
import { Compare } from "./compare.js";
import { controls } from "./controls.js";
import { debounced, make, nextFrame, toast } from "./dom.js";
import { readFacts } from "./facts.js";
import { Gallery } from "./gallery.js";
import { Ideas } from "./ideas.js";
import { indexingAllowed, openJobs } from "./jobs.js";
import { openPlace } from "./place.js";
import { NOTHING, fromHash, isEmpty, toHash, toQuery } from "./question.js";
import { ask, download } from "./service.js";
import { noMap, nothing, skeleton, trouble, welcome } from "./states.js";
import { tools } from "./tools.js";

const LIKELY_ENOUGH = 0.1, FEW = 12, SKELETON_MS = 180;
const stage = document.querySelector(".stage"), note = document.querySelector(".note"), bar = document.querySelector(".tools");
const frame = document.querySelector(".atlas");

let question = NOTHING, query = null, answer = null, shown = [], ideas = { examples: [], pictures: [] }, facts = null, atlas = null, base = "", heatOn = false, coverageOn = false, legend = null;
let running = new AbortController(), opening = null;

const box = new Box(() => atlas?.fitRegion(question.region));
const gallery = new Gallery({
  open: (hit) => openPlace(hit, { like, unlike, part }), like, unlike, part, compare: (hit) => compare.toggle(hit),
  hover: (rank) => { gallery.light(rank); atlas?.light(rank); },
});
const compare = new Compare((id, pressed) => gallery.press(id, pressed), part);

box.addEventListener("asked", ({ detail }) => { performance.mark("asked"); go(detail); });
addEventListener("popstate", () => { atlas?.look(viewOf(location.hash)); go(fromHash(location.hash), { remember: false }); });
start();

async function start() {
  stage.replaceChildren(skeleton());
  try {
    facts = await readFacts();
  } catch (error) {
    stage.replaceChildren(trouble(error, start));
    return;
  }
  box.readable = facts.readable;
  document.querySelector("#to-changes").hidden = !["map", "aerial"].every((name) => facts.layerNames.includes(name));
  ask("/api/suggest?k=8").then((found) => { ideas = found; }).catch(() => {}).finally(() => {
    new Ideas(box.input, ideas.examples, (text) => box.change({ text }));
    if (isEmpty(question)) drawEmpty();
  });
  indexingAllowed().then((state) => offerIndexing(state));
  document.querySelector(".tool-buttons").replaceChildren(...tools(facts.layerNames, () => question, { change: (part) => box.change(part), save }));
  opening = openMap();
  await opening;
  await go(fromHash(location.hash), { remember: false });
}

async function openMap() {
  document.body.classList.toggle("mapless", !facts.extent);
  if (!facts.extent) return;
  const seen = viewOf(location.hash);
  try {
    atlas = await new Atlas(frame, facts, seen).ready;
  } catch {
    frame.replaceChildren(noMap());
    return;
  }
  const names = facts.layers.map(({ name }) => name);
  base = [new URLSearchParams(location.hash.slice(1)).get("base"), "aerial", "map", names[0]].find((name) => names.includes(name) || name === "none") ?? "none";
  legend = controls(frame, atlas, base, {
    base: (name) => { base = name; rememberView(); }, heat: showHeat, coverage: showCoverage, region: (region) => (isEmpty(question) ? onlyRegion(region) : box.change({ region })),
  }, { coverageOn: facts.isLarge });
  if (facts.isLarge) showCoverage(true);
  atlas.addEventListener("point", ({ detail }) => box.change({ at: detail }));
  atlas.addEventListener("hover", ({ detail: { rank } }) => { gallery.light(rank); atlas.light(rank); });
  atlas.addEventListener("choose", ({ detail: { rank } }) => { gallery.light(rank, true); gallery.focus(rank); });
  atlas.addEventListener("moved", debounced(rememberView, 250));
}

/* A region alone asks nothing yet: it waits for words. */
function onlyRegion(region) {
  go({ ...question, region });
  box.input.focus();
}

/* Ask: understand the words, search, draw. What was asked before is given up. */
async function go(asked, { remember = true } = {}) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  question = asked;
  if (remember) history.pushState(null, "", "#" + hash());
  document.title = question.text ? `${question.text} · GeoAnchor` : "GeoAnchor";
  atlas?.showRegion(question.region);
  atlas?.showPoint(question.at);
  if (isEmpty(question)) { box.show(question, null); drawEmpty(); return; }
  const wait = setTimeout(() => { gallery.node.isConnected ? gallery.node.setAttribute("aria-busy", "true") : stage.replaceChildren(skeleton()); say("Searching …"); }, SKELETON_MS);
  try {
    const phrase = await box.understand(question.text);
    if (signal.aborted) return;
    box.show(question, phrase);
    query = toQuery(question, phrase?.query);
    answer = await ask("/api/search", { body: query, signal });
    await opening;
    drawAnswer(remember);
  } catch (error) {
    if (error.name !== "AbortError") drawTrouble(error);
  } finally {
    clearTimeout(wait);
    gallery.node.removeAttribute("aria-busy");
  }
}

function drawEmpty() {
  query = answer = null;
  compare.clear();
  bar.hidden = true;
  say("");
  atlas?.showHits([]);
  atlas?.showHeat(null);
  if (facts) stage.replaceChildren(welcome(facts, ideas, (part) => box.change(part)));
}

function drawTrouble(error) {
  answer = null;
  bar.hidden = true;
  say(error.message);
  atlas?.showHits([]);
  stage.replaceChildren(trouble(error, () => (facts ? go(question, { remember: false }) : start())));
}

function drawAnswer(move) {
  const isNothing = !question.weak && (answer.verdict === "nothing" || !answer.hits.length);
  shown = isNothing ? answer.nearest ?? [] : worthShowing(answer.hits);
  const hidden = (answer.hidden_why?.improbable ?? 0) + answer.hits.length - (isNothing ? 0 : shown.length);
  compare.clear();
  const seen = nextFrame(), all = gallery.show(shown), mine = answer;
  bar.hidden = !shown.length;
  say(isNothing ? (shown.length ? `No match; the ${shown.length} nearest are shown` : "No match") : summary(hidden));
  const weak = () => box.change({ weak: true });
  const misses = isNothing && shown.length ? [make("h2", { class: "misses" }, "The nearest misses"), gallery.node] : [];
  stage.replaceChildren(...(isNothing ? [nothing({ ...answer, hidden }, question.text.trim(), weak), ...misses] : [gallery.node, more(hidden, weak)]));
  gallery.node.classList.toggle("missed", isNothing);
  document.querySelector("#results").scrollTop = 0;
  if (heatOn) showHeat(true);
  seen.then(async () => {
    performance.mark("drawn");
    if (answer === mine) drawOnMap(move);
    await all;
    document.body.dataset.drawn = String(Number(document.body.dataset.drawn ?? 0) + 1);
  });
}

/* After the cards: where the processor draws the map, it takes longer than they do. */
function drawOnMap(move) {
  const place = query.region ?? null;
  atlas?.showHits(shown);
  atlas?.showRegion(place);
  if (move || !viewOf(location.hash)) place ? atlas?.fitRegion(place) : atlas?.fitHits();
}

/* Up to the last likely hit, in the ranking's own order; a few in any case, for the verdict was that something was found. */
function worthShowing(hits) {
  if (question.weak) return hits;
  const last = hits.findLastIndex(({ why }) => !(why.probability < LIKELY_ENOUGH));
  return hits.slice(0, Math.max(last + 1, FEW));
}

function summary(hidden) {
  const near = answer.hidden_why?.suppressed ?? 0;
  const also = (hidden ? `, ${hidden.toLocaleString("en")} weaker ones hidden` : "") + (near ? `, ${near.toLocaleString("en")} too near to a better one` : "");
  return `${shown.length.toLocaleString("en")} of ${answer.total.toLocaleString("en")} places${also}${answer.note ? `. ${answer.note}` : ""}`;
}

/* What lies below the last card: the hidden ones, or the next page. */
function more(hidden, weak) {
  if (hidden) return make("button", { type: "button", class: "button more", onclick: weak }, `Show ${hidden.toLocaleString("en")} weaker ones, too`);
  const isFull = () => shown.length > 0 && shown.length % question.k === 0 && shown.length < answer.total;
  const button = make("button", { type: "button", class: "button more", hidden: !isFull(), onclick: async () => {
    button.disabled = true;
    try {
      const { hits } = await ask("/api/search", { body: { ...query, offset: shown.length } });
      shown = [...shown, ...hits];
      gallery.add(hits);
      atlas?.showHits(shown);
      say(summary(0));
      button.hidden = !isFull() || !hits.length;
    } catch (error) {
      toast(error.message);
    }
    button.disabled = false;
  } }, "Show more");
  return button;
}

function like(hit) {
  learn(hit, false);
}

function unlike(hit) {
  if (isEmpty({ ...question, likes: question.likes.filter(({ id }) => id !== hit.id) })) { toast("Ask for something first; then say what it is not"); return; }
  learn(hit, true);
}

/* The ranking is updated at once; a later word on the same hit counts. */
function learn(hit, against) {
  box.change({ likes: [...question.likes.filter(({ id }) => id !== hit.id), { id: hit.id, against }] });
}

/* A new question: what looks like the outlined part of a hit. */
function part(hit) {
  box.change({ text: "", pictures: [], at: null, likes: [{ id: hit.id, against: false, segment: hit.why.segment.number }] });
}

async function save(format) {
  try {
    await download(`/api/search.${format}`, { ...query, offset: 0, k: shown.length }, `hits.${format}`);
  } catch (error) {
    toast(error.message);
  }
}

async function showHeat(on) {
  heatOn = on;
  tellLegend(on && query ? "heat" : "");
  if (!on || !query) { atlas.showHeat(null); if (on) toast("Heat shows as soon as something is asked"); return; }
  try {
    const heat = await ask("/api/heat", { body: query, signal: running.signal });
    if (heatOn) atlas.showHeat(heat);
  } catch (error) {
    if (error.name !== "AbortError") toast(error.message);
  }
}

async function showCoverage(on) {
  coverageOn = on;
  tellLegend(on ? "coverage" : heatOn ? "heat" : "");
  try {
    const cells = on ? await ask("/api/coverage" + (question.layer ? `?layer=${question.layer}` : "")) : null;
    if (coverageOn === on) atlas.showCoverage(cells);
  } catch (error) {
    toast(error.message);
  }
}

function tellLegend(kind) {
  legend.hidden = !kind;
  legend.dataset.kind = kind;
  legend.textContent = kind === "heat" ? "suits less … more" : "few … many pictures; blank: no data";
}

function offerIndexing(state) {
  const button = document.querySelector("#add-data");
  button.hidden = !state;
  if (state) button.addEventListener("click", () => openJobs(state, () => atlas?.seen ?? null, () => location.reload()));
}

function hash() {
  const said = toHash(question), { zoom, lat, lng } = atlas?.view ?? {};
  return [said, zoom !== undefined && `map=${zoom}/${lat}/${lng}`, base && `base=${base}`].filter(Boolean).join("&");
}

function viewOf(text) {
  const said = new URLSearchParams(text.replace(/^#/, ""));
  const [zoom, lat, lng] = (said.get("map") ?? "").split("/").map(Number);
  return [zoom, lat, lng].every(Number.isFinite) && said.get("map") ? { zoom, lat, lng } : null;
}

function rememberView() {
  history.replaceState(null, "", "#" + hash());
}

function say(words) {
  note.textContent = words;
}
