// The options of a search in the address of the page.

import { INTERFACES } from "./words.js";

/** Return the rankings of an address that names none: that of the service, or else balanced, beside plain. */
export function usual({ modes, languages, default_mode: own }) {
  if (languages.length < 2) return { mode: own, beside: "" };
  return { mode: modes[0].name, beside: own === modes[0].name ? "balanced" : own };
}

/** Return the language of the page that a query string names, or nothing. */
export function interfaceOf(query) {
  const code = new URLSearchParams(query).get("ui");
  return Object.hasOwn(INTERFACES, code ?? "") ? code : "";
}

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
  const number = (name) => {
    const value = Number.parseFloat(given.get(name));
    const { default: usual, minimum, maximum } = about.options[name];
    return Number.isFinite(value) ? Math.min(maximum, Math.max(minimum, value)) : usual;
  };
  const languages = list("languages");
  const named = given.has("mode") || given.has("beside");
  const fallback = given.has("beside") ? modes[0] : about.default_mode;
  const shown = named ? { mode: mode("mode") || fallback, beside: mode("beside") } : usual(about);
  return {
    ...shown,
    question: (given.get("q") ?? "").trim(),
    document: given.get("document") ?? "",
    language: given.get("language") ?? "",
    languages,
    preferred: list("preferred"),
    boost: number("boost"),
    collapse: given.get("collapse") === "1",
    k: Math.round(number("k")),
    ui: interfaceOf(query),
    unknown,
  };
}

/** Return the query string of options, without those at their defaults. */
export function write(options, about) {
  const wanted = new URLSearchParams();
  const put = (name, value, usual) => { if (String(value) !== String(usual)) wanted.set(name, value); };
  put("q", options.question, "");
  put("document", options.question ? "" : options.document, "");
  const { mode, beside } = usual(about);
  if (options.mode !== mode || options.beside !== beside) {
    put("mode", options.mode, "");
    put("beside", options.beside, "");
  }
  put("languages", options.languages, "");
  put("language", options.language, "");
  if (isPreferred(options)) {
    put("preferred", options.preferred, "");
    put("boost", options.boost, about.options.boost.default);
  }
  put("collapse", options.collapse ? 1 : 0, 0);
  put("k", options.k, about.options.k.default);
  put("ui", options.ui, "");
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
