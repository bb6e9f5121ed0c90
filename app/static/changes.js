/* The list of changes and the reviewer's buttons. Loads nothing from any other machine. */
"use strict";

(() => {
  const form = document.querySelector("form");
  const headline = document.querySelector(".headline");
  const list = document.querySelector(".changes");

  form.addEventListener("submit", (event) => { event.preventDefault(); compare(); });
  compare();

  async function compare() {
    say("Comparing …");
    const given = new FormData(form);
    const asked = new URLSearchParams();
    for (const [name, value] of given) if (value) asked.set(name, value === "on" ? "true" : value);
    const found = await ask("/api/changes?" + asked);
    if (!found) return;
    const bare = found.unmapped ? `, ${found.unmapped} without a map` : "";
    const lies = found.registration ? `; ${found.registration.reason}` : "";
    const reviewed = found.reviewed ? `; ${found.reviewed} reviewed` : "";
    say(`${found.pairs} pairs of map and picture compared${bare}${lies}${reviewed}${found.note ? "; " + found.note : ""}`);
    list.replaceChildren(...found.changes.map(card));
  }

  function card(change) {
    const item = make("li");
    item.dataset.change = change.id;
    const when = change.acquired ? ", " + change.acquired.slice(0, 10) : "";
    item.append(
      figure(change.map_id ? picture(thumbnail(change.map_id), "map") : make("div", "blank", "no map"), "map"),
      figure(picture(thumbnail(change.aerial_id), "imagery"), "imagery" + when),
      figure(heat(change), "where they disagree"),
      facts(change, item),
    );
    return item;
  }

  function heat(change) {
    const over = make("div", "over");
    over.append(picture(thumbnail(change.aerial_id), ""), picture(heatmap(change), "where they disagree"));
    if (change.outline) over.append(outline(change));
    return over;
  }

  /* The disagreeing part, drawn over a picture of the same bounds. */
  function outline({ outline: shape, bounds: [west, south, east, north] }) {
    const polygons = shape.type === "Polygon" ? [shape.coordinates] : shape.coordinates;
    const point = ([lng, lat]) => `${100 * (lng - west) / (east - west)} ${100 * (north - lat) / (north - south)}`;
    const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    drawing.setAttribute("viewBox", "0 0 100 100");
    drawing.setAttribute("preserveAspectRatio", "none");
    path.setAttribute("d", polygons.flat().map((ring) => "M" + ring.map(point).join("L") + "Z").join(" "));
    drawing.append(path);
    return drawing;
  }

  function facts(change, item) {
    const cause = make("p", "cause");
    cause.append(make("b", "", String(change.rank)), " " + change.cause);
    const box = make("div", "facts");
    box.append(
      cause,
      make("p", "reason", change.reason),
      make("p", "score", `mismatch ${change.mismatch.toFixed(3)}, percentile ${change.percentile.toFixed(0)} of the region`),
    );
    if (change.review) box.append(make("p", "score", `${change.review.decision}ed ${change.review.time.slice(0, 10)} ${change.review.note}`));
    box.append(make("p", "where", `${change.lat.toFixed(5)}, ${change.lng.toFixed(5)}`));
    if (change.attribution) box.append(make("p", "where", change.attribution));
    box.append(decide(change, item));
    return box;
  }

  function decide(change, item) {
    const row = make("div", "decide");
    const note = make("input");
    note.placeholder = "note";
    note.setAttribute("aria-label", "note");
    note.maxLength = 2000;
    for (const [decision, words] of [["accept", "Accept"], ["reject", "Reject"]]) {
      const button = make("button", decision === "accept" ? "main" : "", words);
      button.type = "button";
      button.addEventListener("click", async () => {
        const body = JSON.stringify({ change: change.id, decision, note: note.value });
        if (await ask("/api/changes", { method: "POST", headers: { "Content-Type": "application/json" }, body })) item.remove();
      });
      row.append(button);
    }
    row.append(note);
    return row;
  }

  /* JSON of an answer; what went wrong is said, and null given. */
  async function ask(address, options) {
    try {
      const answer = await fetch(address, options);
      const value = await answer.json();
      if (answer.ok) return value;
      say(value.error, true);
    } catch (error) {
      say(String(error), true);
    }
    return null;
  }

  function say(words, wrong) {
    headline.textContent = words;
    headline.classList.toggle("error", Boolean(wrong));
  }

  /* A shifted map is shown as it lies; any other where it suits the picture best. */
  function heatmap({ id, cause }) {
    return `/api/changes/${id}/heat.png` + (cause === "shifted" ? "?max_offset=0" : "");
  }

  function thumbnail(id) {
    return "/api/thumbnails/" + id.split("/").map(encodeURIComponent).join("/");
  }

  function figure(content, words) {
    const frame = make("figure");
    frame.append(content, make("figcaption", "", words));
    return frame;
  }

  function picture(address, words) {
    const image = make("img");
    image.loading = "lazy";
    image.alt = words;
    image.src = address;
    return image;
  }

  function make(name, className, text) {
    const node = document.createElement(name);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  }
})();
