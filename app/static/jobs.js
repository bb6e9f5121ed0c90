/* Indexing from the page: which source, how far it is, stop and go on. Only where the service allows it. */

import { icon, make, openDialog } from "./dom.js";
import { ask } from "./service.js";

const PAUSE_MS = 700;

/* Whether the service lets this page index, and from which folders; null where it does not. */
export async function indexingAllowed() {
  try {
    const state = await ask("/api/jobs");
    return state.allowed ? state : null;
  } catch {
    return null;
  }
}

/* done(): called when a job has added something. */
export function openJobs(folders, done) {
  const list = make("ul", { class: "jobs", "aria-live": "polite" });
  const said = make("p", { class: "said-wrong", role: "alert" });
  const form = jobForm(folders);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    const body = { source: given.source.trim(), ...(given.layer && { layer: given.layer }), ...(given.zoom && { zoom: Number(given.zoom) }) };
    await act(() => ask("/api/jobs", { body }));
  });
  const dialog = openDialog("Add data", make("div", {}, form, said, make("h3", {}, "Jobs"), list), "narrow");
  const seen = new Map();
  let timer;

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
      list.replaceChildren(...(jobs.length ? jobs.map((job) => jobItem(job, act)) : [make("li", { class: "soft" }, "None yet.")]));
      for (const { id, state } of jobs) {
        if (state === "done" && seen.get(id) === "running") done();
        seen.set(id, state);
      }
      if (dialog.open && jobs.some(({ state }) => state === "running")) timer = setTimeout(refresh, PAUSE_MS);
    } catch (error) {
      said.textContent = error.message;
      timer = dialog.open ? setTimeout(refresh, 3 * PAUSE_MS) : null;
    }
  }

  dialog.addEventListener("close", () => clearTimeout(timer));
  refresh();
}

function jobForm(folders) {
  const layers = [["", "as the source says"], ["aerial", "imagery"], ["map", "map"], ["ground", "ground photos"]];
  const known = folders.length ? `A file or folder below ${folders.join(", ")}, or city:7 for a drawn town.` : "city:7 for a drawn town; no folder of this machine is allowed.";
  return make("form", { class: "job-form" },
    make("label", { class: "field" }, "Source", make("input", { name: "source", required: true, maxlength: 2000, placeholder: folders[0] ? `${folders[0]}/…` : "city:7", "aria-describedby": "source-help" })),
    make("p", { id: "source-help", class: "soft" }, known),
    make("div", { class: "row" },
      make("label", { class: "field" }, "It shows", make("select", { name: "layer" }, ...layers.map(([value, words]) => make("option", { value }, words)))),
      make("label", { class: "field" }, "Zoom", make("input", { name: "zoom", type: "number", min: 0, max: 24, placeholder: "its own" }))),
    make("button", { class: "button main" }, icon("data"), "Index"));
}

function jobItem(job, act) {
  const { id, state, done, total, message, request } = job;
  const post = (verb) => act(() => ask(`/api/jobs/${encodeURIComponent(id)}/${verb}`, { method: "POST" }));
  const bar = make("progress", { max: total || 1, value: done, "aria-label": `Progress of ${request.source}` });
  return make("li", { data: { state } },
    make("div", { class: "job-head" }, make("strong", {}, request.source), make("span", { class: "soft" }, words(job))),
    (state === "running" || state === "stopped") && bar,
    message && make("p", { class: state === "failed" ? "said-wrong" : "soft" }, message),
    state === "running" && make("button", { type: "button", class: "button", onclick: () => post("cancel") }, "Cancel"),
    (state === "stopped" || state === "failed") && make("button", { type: "button", class: "button", onclick: () => post("resume") }, "Resume"));
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
