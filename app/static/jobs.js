/* Indexing from the page: which source, how far it is, stop and go on. Only where the service allows it. */

import { icon, make, openDialog } from "./dom.js";
import { ask } from "./service.js";

const PAUSE_MS = 400;

/* { folders, sources } that the service lets this page index; null where it does not. */
export async function indexingAllowed() {
  try {
    const state = await ask("/api/jobs");
    return state.allowed ? state : null;
  } catch {
    return null;
  }
}

/* seen(): bounds that the map shows, null where there is no map. grown(): called at the end when a job has added something. */
export function openJobs(allowed, seen, grown) {
  const none = make("li", { class: "soft" }, "None yet."), list = make("ul", { class: "jobs", "aria-live": "polite" }, none);
  const said = make("p", { class: "said-wrong", role: "alert" });
  const form = jobForm(allowed, seen() !== null);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    const body = { source: given.source.trim(), ...(given.layer && { layer: given.layer }), ...(given.zoom && { zoom: Number(given.zoom) }), ...(given.seen && { within: seen() }) };
    await act(() => ask("/api/jobs", { body }));
  });
  const dialog = openDialog("Add data", make("div", {}, form, said, make("h3", {}, "Jobs"), list), "narrow");
  const shown = new Map();
  let timer, isGrown = false;

  async function act(run) {
    said.textContent = "";
    try {
      await run();
    } catch (error) {
      said.textContent = error.message;
    }
    await refresh();
  }

  async function refresh() {
    clearTimeout(timer);
    try {
      const { jobs } = await ask("/api/jobs");
      jobs.reverse().forEach(draw);
      if (dialog.open && jobs.some(({ state }) => state === "running")) timer = setTimeout(refresh, PAUSE_MS);
    } catch (error) {
      said.textContent = error.message;
      timer = dialog.open ? setTimeout(refresh, 3 * PAUSE_MS) : null;
    }
  }

  /* The same node while a state lasts, so that a button that is about to be pressed stays where it is. */
  function draw(job) {
    const { id, state } = job, old = shown.get(id);
    if (old?.state === state) { tell(old.node, job); return; }
    const node = jobItem(job, act);
    old ? old.node.replaceWith(node) : list.prepend(node);
    shown.set(id, { state, node });
    none.hidden = true;
    isGrown ||= state === "done" && old?.state === "running";
  }

  dialog.addEventListener("close", () => { clearTimeout(timer); if (isGrown) grown(); });
  refresh();
}

function jobForm({ folders, sources }, hasMap) {
  const layers = [["", "as the source says"], ["aerial", "imagery"], ["map", "map"], ["ground", "ground photos"]];
  const known = folders.length ? `A file or folder below ${folders.join(", ")}, or city:7 for a drawn town.` : "city:7 for a drawn town; no folder of this machine is allowed.";
  return make("form", { class: "job-form" },
    make("label", { class: "field" }, "Source", make("input", { name: "source", list: "sources", required: true, autofocus: true, maxlength: 2000, autocomplete: "off", placeholder: sources[0] ?? "city:7", "aria-describedby": "source-help" })),
    make("datalist", { id: "sources" }, ...[...sources, "city:7"].map((value) => make("option", { value }))),
    make("p", { id: "source-help", class: "soft" }, known),
    make("div", { class: "row" },
      make("label", { class: "field" }, "It shows", make("select", { name: "layer" }, ...layers.map(([value, words]) => make("option", { value }, words)))),
      make("label", { class: "field" }, "Zoom", make("input", { name: "zoom", type: "number", min: 0, max: 24, placeholder: "as it suits" }))),
    hasMap && make("label", {}, make("input", { name: "seen", type: "checkbox" }), " Only what the map shows"),
    make("button", { class: "button main" }, icon("data"), "Index"));
}

function jobItem(job, act) {
  const { id, state, request } = job;
  const post = (verb) => act(() => ask(`/api/jobs/${encodeURIComponent(id)}/${verb}`, { method: "POST" }));
  const button = (verb, label) => make("button", { type: "button", class: "button", onclick: () => post(verb) }, label);
  const node = make("li", { data: { state } },
    make("div", { class: "job-head" }, make("strong", {}, request.source), make("span", { class: "soft pace" })),
    (state === "running" || state === "stopped") && make("progress", { "aria-label": `Progress of ${request.source}` }),
    make("p", { class: state === "failed" ? "said-wrong" : "soft message" }),
    state === "running" && button("cancel", "Cancel"),
    (state === "stopped" || state === "failed") && button("resume", "Resume"));
  tell(node, job);
  return node;
}

/* How far a job is. */
function tell(node, job) {
  const bar = node.querySelector("progress"), message = node.querySelector("p");
  node.querySelector(".pace").textContent = words(job);
  if (bar) [bar.max, bar.value] = [job.total || 1, job.done];
  message.textContent = job.message;
  message.hidden = !job.message;
}

function words({ state, done, total, eta_s: left }) {
  if (state !== "running") return state;
  if (!total) return "starting";
  return `${done.toLocaleString("en")} of ${total.toLocaleString("en")}${left === null ? "" : `, ${duration(left)} left`}`;
}

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
