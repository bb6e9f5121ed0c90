/* Notes on changes that were typed but not yet kept with a decision; a reload finds them, the end of the tab loses them. */

const drafts = new Map();
const named = (change) => "note:" + change;

/* Text, or undefined where nothing was typed. */
export function draftOf(change) {
  if (!drafts.has(change)) {
    try {
      drafts.set(change, sessionStorage.getItem(named(change)) ?? undefined);
    } catch { /* Nothing is found then. */ }
  }
  return drafts.get(change);
}

export function keepDraft(change, text) {
  drafts.set(change, text);
  try {
    sessionStorage.setItem(named(change), text);
  } catch { /* It is kept as long as the page. */ }
}

export function dropDraft(change) {
  drafts.delete(change);
  try {
    sessionStorage.removeItem(named(change));
  } catch { /* Nothing was kept. */ }
}
