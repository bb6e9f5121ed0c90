/* Decisions on changes: kept by the service, and gone back through while the page lives. */

import { dropDraft, keepDraft } from "./drafts.js";
import { ask } from "./service.js";

const made = [];

/* Keep a decision on a change; "open" takes back the one before. Throws Refusal. */
export async function decide(change, decision, note) {
  const before = change.review;
  change.review = await keep(change.id, decision, note);
  made.push({ id: change.id, before, note });
  if (decision === "open") keepNote(change.id, note);
  else dropDraft(change.id);
}

export const canUndo = () => made.length > 0;

/* Make the change of the last decision what it was before; its note is a draft again. Gives { id, review }; throws Refusal. */
export async function undo() {
  const { id, before, note } = made.at(-1);
  const review = await keep(id, before?.decision ?? "open", before?.note ?? "");
  made.pop();
  keepNote(id, note);
  return { id, review };
}

async function keep(change, decision, note) {
  const review = await ask("/api/changes", { body: { change, decision, note } });
  return decision === "open" ? null : review;
}

function keepNote(change, note) {
  if (note) keepDraft(change, note);
}
