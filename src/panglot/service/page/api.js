// The two calls to the service, and what can go wrong with them.

const KEY = "panglot-key";

/** Something to tell the user: a message, a cure, and the status of the answer (0: there was none). */
export class Failure extends Error {
  constructor(status, message, cure = "") {
    super(message);
    Object.assign(this, { status, cure });
  }
}

let kept = "";
try {
  kept = sessionStorage.getItem(KEY) ?? "";
} catch { /* The browser keeps nothing: until the page is left, the key is here. */ }

export function setKey(key) {
  kept = key;
  try {
    sessionStorage.setItem(KEY, key);
  } catch { /* As above. */ }
}

/** What is in the index. */
export const about = () => call("about");

/** An answer; `wish` is the body of POST /search. */
export const search = (wish, signal) => call("search", {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(wish), signal,
});

async function call(path, { headers, ...rest } = {}) {
  const key = kept;
  const wrong = () => new Failure(401, key ? "The service does not take this key." : "The service wants a key.",
    "Whoever runs it has one.");
  if (/[^ -~]/.test(key)) throw wrong(); // No header can carry it.
  let response;
  try {
    response = await fetch(path, { ...rest, headers: { ...headers, ...(key && { Authorization: `Bearer ${key}` }) } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw navigator.onLine
      ? new Failure(0, "The service does not answer.", "See whether it still runs, then try again.")
      : new Failure(0, "This device is offline.", "Connect it, then try again.");
  }
  if (response.ok) return response.json();
  const { error = {} } = await response.json().catch(() => ({}));
  if (response.status === 429) {
    const seconds = Number(response.headers.get("Retry-After"));
    const wait = seconds > 0 ? `Try again in ${seconds} s.` : "Try again in a moment.";
    throw new Failure(429, "Too many questions at once.", wait);
  }
  if (response.status === 401) throw wrong();
  const message = error.message ?? `The service answered with status ${response.status}.`;
  throw new Failure(response.status, message, error.cure);
}
