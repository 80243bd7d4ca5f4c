// The options of a search in the address of the page.

export const DEFAULTS = Object.freeze({
  question: "", language: "", languages: [], mode: "", beside: "", preferred: [], boost: 0.05, collapse: false, k: 10,
  unknown: [],
});

/** Return the options in a query string. Languages and modes that the index lacks are ignored and listed in `unknown`. */
export function read(query, about) {
  const given = new URLSearchParams(query);
  const known = new Set(about.languages.map(({ code }) => code));
  const modes = about.modes.map(({ name }) => name);
  const unknown = [];
  const taken = (value, there) => {
    if (value && !there) unknown.push(value);
    return there ? value : "";
  };
  const list = (name) => (given.get(name) ?? "").split(",").filter((code) => taken(code, known.has(code)));
  const mode = (name) => taken(given.get(name), modes.includes(given.get(name)));
  const number = (name, low, high) => {
    const value = Number.parseFloat(given.get(name));
    return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : DEFAULTS[name];
  };
  return {
    question: (given.get("q") ?? "").trim(),
    language: given.get("language") ?? "",
    languages: list("languages"),
    mode: mode("mode") || modes[0],
    beside: mode("beside"),
    preferred: list("preferred"),
    boost: number("boost", 0, 0.3),
    collapse: given.get("collapse") === "1",
    k: Math.round(number("k", 1, 1000)),
    unknown,
  };
}

/** Return the query string of options, without those at their defaults. */
export function write(options, about) {
  const wanted = new URLSearchParams();
  const put = (name, value, usual) => { if (String(value) !== String(usual)) wanted.set(name, value); };
  put("q", options.question, "");
  put("mode", options.mode, about.modes[0].name);
  put("beside", options.beside, "");
  put("languages", options.languages, "");
  put("language", options.language, "");
  if (isPreferred(options)) {
    put("preferred", options.preferred, "");
    put("boost", options.boost, DEFAULTS.boost);
  }
  put("collapse", options.collapse ? 1 : 0, 0);
  put("k", options.k, DEFAULTS.k);
  return wanted.toString();
}

/** Whether a column ranks by preferred languages. */
export const isPreferred = ({ mode, beside }) => mode === "preferred" || beside === "preferred";

/** Return the browser's languages that the index has. */
export function ofBrowser(about) {
  const codes = about.languages.map(({ code }) => code);
  const nearest = (wanted) => codes.find((code) => code === wanted)
    ?? codes.find((code) => code.split("-")[0] === wanted.split("-")[0]);
  return [...new Set(navigator.languages.map(nearest).filter(Boolean))];
}
