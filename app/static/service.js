/* The REST service: one way to ask it, one kind of refusal. */

/* What the service would not do, in one sentence. status: HTTP's, 0 when nobody answered. */
export class Refusal extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/* JSON of an answer. body: sent as JSON; form: sent as it is. Throws Refusal; AbortError when stopped. */
export async function ask(path, options = {}) {
  return (await send(path, options)).json();
}

export async function send(path, { body, form, method, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const sent = form ?? (body === undefined ? undefined : JSON.stringify(body));
  let answer;
  try {
    answer = await fetch(path, { method: method ?? (sent === undefined ? "GET" : "POST"), headers, body: sent, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "The service does not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  throw new Refusal(answer.status, await sentence(answer));
}

async function sentence(answer) {
  try {
    return (await answer.json()).error || answer.statusText;
  } catch {
    return `${answer.status} ${answer.statusText}`;
  }
}

/* Whether the token was right; the service remembers it in a cookie that scripts cannot read. */
export async function enter(token) {
  const answer = await fetch("/login", { method: "POST", body: new URLSearchParams({ token }) });
  return answer.ok;
}

/* Hand a file of the service's making over to the browser. */
export async function download(path, body, name) {
  const answer = await send(path, { body });
  save(await answer.blob(), name);
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
