/* The page of changes: a queue of places, one of them in full, and where they lie; made to be gone through by keyboard. */

import { Atlas } from "./atlas.js";
import { controls } from "./controls.js";
import { canUndo, decide as keepDecision, undo as undoDecision } from "./decisions.js";
import { icon, make, thumbnail, toast } from "./dom.js";
import { readFacts } from "./facts.js";
import { regionOf, regionParameters, regionText } from "./question.js";
import { DONE, cover, review } from "./review.js";
import { ask, download } from "./service.js";
import { noMap, skeleton, trouble } from "./states.js";

const form = document.querySelector("form.ask"), headline = document.querySelector(".headline"), queue = document.querySelector(".places");
const causes = document.querySelector(".causes"), stage = document.querySelector("#review"), frame = document.querySelector(".atlas");

/* Places that the service gives at once. */
const MOST = 10_000;
const FORMATS = [["geojson", "GeoJSON"], ["parquet", "GeoParquet"], ["csv", "CSV"], ["maproulette", "MapRoulette"]];

let found = null, cells = null, chosen = null, cause = "", within = "", shown = { heat: true, outline: true }, atlas = null, heatOn = true, deciding = false, running = new AbortController();

form.addEventListener("submit", (event) => { event.preventDefault(); compare(); });
document.addEventListener("keydown", key);
addEventListener("popstate", () => {
  const before = within;
  readAddress();
  if (within !== before) compare();
  else choose(byId(addressed()) ?? listed()[0], false);
});
queue.addEventListener("mouseover", ({ target }) => atlas?.light(Number(target.closest("li")?.dataset.rank) || null));
start();

async function start() {
  stage.replaceChildren(skeleton(1));
  readAddress();
  try {
    atlas = await openMap(await readFacts());
  } catch (error) {
    wrong(error, start);
    return;
  }
  await compare();
}

/* null where the browser draws no map. */
async function openMap(facts) {
  try {
    const atlas = await new Atlas(frame, facts, null).ready;
    const base = facts.layers.some(({ name }) => name === "aerial") ? "aerial" : "map";
    const legend = controls(frame, atlas, base, { base: () => {}, heat: (on) => { heatOn = on; drawHeat(); legend.hidden = !on; }, coverage: null, region: inRegion }, { heatOn: true });
    legend.textContent = "agrees … disagrees";
    atlas.addEventListener("choose", ({ detail: { rank } }) => choose(listed().find((change) => change.rank === rank)));
    atlas.addEventListener("hover", ({ detail: { rank } }) => atlas.light(rank));
    return atlas;
  } catch {
    frame.replaceChildren(noMap());
    return null;
  }
}

async function compare() {
  say("Comparing map and imagery; the first time this takes a while …");
  stage.setAttribute("aria-busy", "true");
  atlas?.showRegion(regionOf(within));
  const asked = new URLSearchParams({ ...region(), k: new FormData(form).get("k") });
  running.abort();
  const { signal } = (running = new AbortController());
  try {
    const answer = await ask("/api/changes?" + asked, { signal });
    cells = answer.heat.length ? await ask(`/api/coverage?resolution=${parseInt(answer.heat[0].cell[1], 16)}`, { signal }) : null;
    found = answer;
  } catch (error) {
    // A later question is under way, and has the stage.
    if (error.name === "AbortError") return;
    wrong(error, compare);
  }
  stage.removeAttribute("aria-busy");
  if (!found) return;
  cause = "";
  say(words(found));
  draw();
  choose(byId(addressed()) ?? listed()[0], false);
  atlas?.fitHits();
}

/* Where is looked, and whether settled places are listed, too. What is no region the service refuses in words. */
function region() {
  const place = regionOf(within);
  return { ...(new FormData(form).has("reviewed") && { reviewed: "true" }), ...(place ? regionParameters(place) : within && { within }) };
}

/* What there is to say of the region as a whole. */
function words({ changes, places, pairs, unmapped, reviewed, registration, note }) {
  const compared = `${pairs.toLocaleString("en")} ${pairs === 1 ? "pair" : "pairs"} of map and picture compared`;
  return [compared + (unmapped ? `, ${unmapped} without a map` : ""), reviewed && !note.includes("reviewed") && `${reviewed} reviewed`, registration?.reason, note, places !== changes.length && "“Places” sets how many"].filter(Boolean).join("; ");
}

function draw() {
  const counts = Map.groupBy(found.changes, (change) => change.cause);
  causes.replaceChildren(...(counts.size < 2 ? [] : [["", found.changes.length], ...[...counts].map(([name, list]) => [name, list.length])].map(([name, count]) =>
    make("button", { type: "button", class: "button", "aria-pressed": String(cause === name), onclick: () => { cause = name; draw(); choose(listed()[0]); } }, `${name || "all"} ${count}`))));
  queue.replaceChildren(...listed().map(entry));
  document.querySelector(".exports").replaceChildren(...(found.changes.length || found.reviewed ? [make("span", { class: "soft" }, "Export"), ...FORMATS.map(([format, label]) =>
    make("button", { type: "button", class: "button", onclick: () => save(format) }, label))] : []));
  atlas?.showHits(listed().map(({ rank, lng, lat, bounds, outline }) => ({ rank, lng, lat, bounds, outline })));
  drawHeat();
}

/* Outlines of the cells come with the coverage, which has all cells of the index. */
function drawHeat() {
  const worst = Math.max(1e-9, ...(found?.heat ?? []).map((cell) => cell.mean));
  const heat = new Map((found?.heat ?? []).map((cell) => [cell.cell, cell.mean / worst]));
  const features = (cells?.features ?? []).filter(({ properties }) => heat.has(properties.cell)).map((cell) => ({ ...cell, properties: { heat: heat.get(cell.properties.cell) } }));
  atlas?.showHeat(heatOn ? { type: "FeatureCollection", features } : null);
}

function entry(change) {
  const { id, rank, mismatch, aerial_id: aerial, cause: why, review: decided } = change;
  return make("li", { data: { change: id, rank, decision: decided?.decision ?? "" } },
    make("button", { type: "button", "aria-current": String(change === chosen), onclick: () => choose(change) },
      make("img", { src: thumbnail(aerial), alt: "", loading: "lazy", width: 46, height: 46 }),
      make("span", { class: "entry-words" }, make("strong", {}, `${rank}. ${why}`), make("span", { class: "soft" }, `mismatch ${mismatch.toFixed(2)}`)),
      decided && icon(decided.decision === "accept" ? "accept" : "close")));
}

function choose(change, remember = true) {
  chosen = change ?? null;
  for (const item of queue.children) item.firstChild.setAttribute("aria-current", String(item.dataset.change === chosen?.id));
  if (!chosen) { stage.replaceChildren(nothingLeft()); return; }
  queue.querySelector('[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
  stage.replaceChildren(...review(chosen, shown, { decide, undo: canUndo() && undo, step, show: (now) => { shown = { ...shown, ...now }; cover(stage, shown); } }));
  atlas?.light(chosen.rank);
  if (remember) { history.pushState(null, "", "#" + address()); atlas?.goTo(chosen); }
}

/* To the next place or the one before; the last one stays. */
function step(by) {
  const next = neighbour(by);
  if (next) choose(next);
}

async function decide(decision, note) {
  const change = chosen, next = neighbour(1);
  if (!(await settled(() => keepDecision(change, decision, note)))) return;
  toast(`${change.rank} ${DONE[decision]}` + (decision === "open" ? "" : " · u undoes it"));
  redraw(change);
  choose(decision === "open" ? change : next ?? change);
}

async function undo() {
  if (!canUndo()) { toast("Nothing was decided since the page was opened"); return; }
  let undone;
  if (!(await settled(async () => { undone = await undoDecision(); }))) return;
  // It may have been left out as decided, or be of another cause.
  if (!byId(undone.id)) await compare();
  const change = byId(undone.id);
  toast(`${change?.rank ?? "It"} is ${DONE[undone.review?.decision ?? "open"]}`);
  if (!change) return;
  change.review = undone.review;
  redraw(change);
  choose(change);
}

/* Whether the service did what was asked; if not, it is said why. One decision at a time. */
async function settled(act) {
  if (deciding) return false;
  deciding = true;
  try {
    await act();
    return true;
  } catch (error) {
    toast(error.message);
    return false;
  } finally {
    deciding = false;
  }
}

function redraw(change) {
  queue.querySelector(`[data-change="${CSS.escape(change.id)}"]`)?.replaceWith(entry(change));
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=checkbox]):not([type=range]), select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    if (event.key === "Enter" && event.target.name === "note" && !event.isComposing) leaveNote();
    return;
  }
  const note = stage.querySelector('[name="note"]');
  const act = {
    j: () => step(1), k: () => step(-1),
    a: () => chosen && decide("accept", note.value), r: () => chosen && decide("reject", note.value),
    h: () => stage.querySelector('[name="heat"]')?.click(), o: () => stage.querySelector('[name="outline"]')?.click(), n: () => note?.focus(), u: undo,
  }[event.key];
  if (!act) return;
  event.preventDefault();
  // A key that is held down would decide on places that nobody has seen, or undo all.
  if ("aru".includes(event.key) && event.repeat) return;
  act();
}

/* The keys that decide are at hand again. */
function leaveNote() {
  stage.focus({ preventScroll: true });
  toast("The note is kept when you accept (a) or reject (r)");
}

function inRegion(region) {
  within = regionText(region);
  history.pushState(null, "", "#" + address());
  compare();
}

function nothingLeft() {
  return make("div", { class: "panel" }, icon("accept"), make("h2", {}, "Nothing to look at here"),
    make("p", {}, found?.note || "Map and imagery agree, or everything was reviewed."),
    canUndo() && make("button", { type: "button", class: "button", onclick: undo }, icon("undo"), "Undo the last decision"),
    within && make("button", { type: "button", class: "button", onclick: () => { within = ""; compare(); } }, "Look everywhere"));
}

function wrong(error, again) {
  found = cells = chosen = null;
  say(error.message, true);
  for (const emptied of [queue, causes, document.querySelector(".exports")]) emptied.replaceChildren();
  atlas?.showHits([]);
  drawHeat();
  stage.replaceChildren(trouble(error, again));
}

/* What is listed, with the decisions, also those of before, as a file of the service's making. */
async function save(format) {
  const asked = new URLSearchParams({ ...region(), k: Math.min(MOST, Math.max(1, found.changes.length + found.reviewed)), reviewed: "true", ...(cause && { cause }) });
  try {
    await download(`/api/changes.${format}?${asked}`, undefined, `changes.${format === "maproulette" ? "maproulette.geojson" : format}`);
  } catch (error) {
    toast(error.message);
  }
}

const listed = () => (found?.changes ?? []).filter((change) => !cause || change.cause === cause);
const byId = (id) => listed().find((change) => change.id === id);
const neighbour = (step) => listed()[listed().indexOf(chosen) + step];
const addressed = () => new URLSearchParams(location.hash.slice(1)).get("change");
const address = () => new URLSearchParams({ ...(within && { within }), ...(chosen && { change: chosen.id }) }).toString();

function readAddress() {
  within = new URLSearchParams(location.hash.slice(1)).get("within") ?? "";
}

function say(sentence, isWrong = false) {
  headline.textContent = sentence;
  headline.classList.toggle("bad", isWrong);
}
