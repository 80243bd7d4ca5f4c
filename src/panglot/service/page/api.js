// The two calls to the service, and their errors.

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

/** Return the contents of the index. */
export const about = () => call("about");

/** Return the result of a search. `request` is the body of POST /search. */
export const search = (request, signal) => call("search", {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request), signal,
});

async function call(path, { headers, ...rest } = {}) {
  const key = savedKey;
  const wrong = () => new Failure(401, key ? "The service does not accept this key." : "The service requires a key.",
    "Ask its operator for one.");
  if (/[^ -~]/.test(key)) throw wrong(); // Headers hold ASCII only.
  let response;
  try {
    response = await fetch(path, { ...rest, headers: { ...headers, ...(key && { Authorization: `Bearer ${key}` }) } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw navigator.onLine
      ? new Failure(0, "The service does not answer.", "Check that it is running, then try again.")
      : new Failure(0, "This device is offline.", "Connect it, then try again.");
  }
  if (response.ok) return response.json();
  const { error = {} } = await response.json().catch(() => ({}));
  if (response.status === 429) {
    const seconds = Number(response.headers.get("Retry-After"));
    const wait = seconds > 0 ? `Try again in ${seconds} s.` : "Try again in a moment.";
    throw new Failure(429, "There are too many requests.", wait);
  }
  if (response.status === 401) throw wrong();
  const message = error.message ?? `The service returned status ${response.status}.`;
  throw new Failure(response.status, message, error.hint);
}
