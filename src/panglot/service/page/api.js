// The calls to the service, and their errors.

import { say } from "./words.js";

const KEY = "panglot-key";

/** What went wrong: a message, a hint, and the status of the response (0 if there was none). */
export class Failure extends Error {
  constructor(status, message, hint = "") {
    super(message);
    Object.assign(this, { status, hint });
  }
}

let savedKey = "";
try {
  savedKey = sessionStorage.getItem(KEY) ?? "";
} catch { /* The browser stores nothing. The key is kept until the page is left. */ }

export function setKey(key) {
  savedKey = key;
  try {
    sessionStorage.setItem(KEY, key);
  } catch { /* As above. */ }
}

/** Return the header with the key, if there is one. */
export const authorization = () => (savedKey ? { Authorization: `Bearer ${savedKey}` } : {});

/** Return the contents of the index. */
export const about = () => call("about");

/** Return the result of a search. `request` is the body of POST /search. */
export const search = (request, signal) => call("search", {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request), signal,
});

/** Return a document as a hit is, without rank. */
export async function fetchDocument(id) {
  const { id: name, text, title, language, group, ...metadata } = await call(`documents/${encodeURIComponent(id)}`);
  return { id: name, text, title, language, group, metadata };
}

async function call(path, { headers, ...rest } = {}) {
  const wrong = () => new Failure(401, say(savedKey ? "key_wrong" : "key_needed"), say("key_hint"));
  if (/[^ -~]/.test(savedKey)) throw wrong(); // Headers hold ASCII only.
  let response;
  try {
    response = await fetch(path, { ...rest, headers: { ...headers, ...authorization() } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw navigator.onLine
      ? new Failure(0, say("silent"), say("silent_hint"))
      : new Failure(0, say("offline"), say("offline_hint"));
  }
  if (response.ok) return response.json();
  const { error = {} } = await response.json().catch(() => ({}));
  if (response.status === 429) {
    const seconds = Number(response.headers.get("Retry-After"));
    throw new Failure(429, say("busy"), seconds > 0 ? say("busy_seconds", { n: seconds }) : say("busy_hint"));
  }
  if (response.status === 401) throw wrong();
  const message = error.message ?? say("status", { n: response.status });
  throw new Failure(response.status, message, error.hint);
}
