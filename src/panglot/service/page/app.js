// The page: options in the address and in the form, results in columns.

import { about as askAbout, Failure, search, setKey } from "./api.js";
import { Column } from "./column.js";
import { element, plural } from "./dom.js";
import { moves } from "./hit.js";
import { listen } from "./keys.js";
import { isPreferred, ofBrowser, read, write } from "./options.js";
import { chip, colours, fillChip } from "./shares.js";

const roomy = matchMedia("(min-width: 60rem)");
const $ = (id) => document.getElementById(id);

let about, options, columns, chips, pending;
let answers = [];
let early = false; // Whether a question was submitted before the contents of the index were known.

const byCode = (code) => about.languages.find((one) => one.code === code);
const language = (code) => byCode(code) ?? { code, name: code || "unknown language", direction: "auto" };
const modes = () => [options.mode, ...(options.beside ? [options.beside] : [])];

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (about) change();
  else early = true;
});
start();

async function start() {
  $("status").textContent = "Loading…";
  try {
    about = await askAbout();
  } catch (failure) {
    return showFailure(failure, start);
  }
  showFailure(null);
  options = readAddress();
  const typed = $("question").value;
  if (early) options.question = typed.trim();
  const { documents, languages, model } = about;
  $("about").textContent = `${plural(documents, "document")} in ${plural(languages.length, "language")} · ${model}`;
  for (const select of [$("language"), $("add-preferred")])
    select.append(...languages.map(({ code, name }) => element("option", { value: code }, `${name} (${code})`)));
  columns = ["mode", "beside"].map((which, at) => new Column(at + 1, about.modes, (mode) => change({ [which]: mode })));
  $("columns").replaceChildren(...columns.map(({ shown }) => shown));
  chips = new Map(languages.map((one) => [one.code, chip(one, press)]));
  $("chips").replaceChildren(...chips.values());
  wire();
  render();
  if (typed) $("question").value = typed;
  run();
}

function wire() {
  $("beside").addEventListener("change", () => change($("beside").checked ? pair() : { beside: "" }));
  $("collapse").addEventListener("change", () => change({ collapse: $("collapse").checked }));
  $("language").addEventListener("change", () => change({ language: $("language").value }));
  $("k").addEventListener("change", () => change({ k: Number($("k").value) }));
  $("boost").addEventListener("input", () => { $("boost-shown").textContent = Number($("boost").value).toFixed(2); });
  $("boost").addEventListener("change", () => change({ boost: Number($("boost").value) }));
  $("add-preferred").addEventListener("change", () => change({ preferred: [...options.preferred, $("add-preferred").value] }));
  $("clear").addEventListener("click", () => {
    change({ languages: [] });
    $("chips").querySelector("li:not([hidden]) button").focus();
  });
  $("all").addEventListener("click", () => {
    $("all").setAttribute("aria-expanded", $("all").getAttribute("aria-expanded") !== "true");
    renderChips();
  });
  try {
    $("slash").checked = localStorage.getItem("panglot-slash") !== "off";
    $("slash").addEventListener("change", () => localStorage.setItem("panglot-slash", $("slash").checked ? "on" : "off"));
  } catch { /* The browser stores nothing. */ }
  addEventListener("popstate", () => {
    options = readAddress();
    render();
    run();
  });
  roomy.addEventListener("change", renderChips);
  listen($("question"), () => $("slash").checked,
    () => columns.slice(0, modes().length).map(({ cards }) => cards.map(({ shown }) => shown)));
}

/** Options as the address has them; preferred languages that it does not name are the browser's. */
function readAddress() {
  const found = read(location.search, about);
  if (isPreferred(found) && !found.preferred.length) found.preferred = ofBrowser(about);
  return found;
}

/** Return the two modes of a new comparison, the plain one on the left. */
function pair() {
  const [first, second = first] = about.modes.map(({ name }) => name);
  return { mode: first, beside: options.mode === first ? second : options.mode };
}

const press = (code) => change({
  languages: options.languages.includes(code)
    ? options.languages.filter((one) => one !== code) : [...options.languages, code],
});

/** Set new options in the address and in the form, and search if there is a question. */
function change(some = {}) {
  options = { ...options, question: $("question").value.trim(), unknown: [], ...some };
  if (isPreferred(options) && !options.preferred.length && !("preferred" in some)) options.preferred = ofBrowser(about);
  const query = write(options, about);
  if (query !== location.search.slice(1)) history.pushState(null, "", query ? `?${query}` : location.pathname);
  render();
  run();
}

async function run() {
  pending?.abort();
  const mine = pending = new AbortController();
  busy(Boolean(options.question));
  if (!options.question) return show([]);
  const { question, language, languages, preferred, boost, collapse, k } = options;
  try {
    // With no language preferred, the mode `preferred` is the plain one.
    const asked = (mode) => (mode === "preferred" && !preferred.length ? "plain" : mode);
    const got = await Promise.all(modes().map(asked).map((mode) => search({
      query: question, k, language, languages, mode, preferred_languages: mode === "preferred" ? preferred : [], boost, collapse,
      highlight: true,
    }, mine.signal)));
    if (mine === pending) show(got);
  } catch (failure) {
    if (mine === pending) {
      mine.abort();
      show([]);
      showFailure(failure, run);
    }
  } finally {
    if (mine === pending) busy(false);
  }
}

function busy(now) {
  document.body.classList.toggle("busy", now);
  $("columns").setAttribute("aria-busy", now);
  if (now) $("status").textContent = "Searching…";
}

/** Show the options in the form. */
function render() {
  $("question").value = options.question;
  document.title = options.question ? `${options.question} · panglot` : "panglot: search in any language";
  $("beside").checked = Boolean(options.beside);
  $("beside").disabled = about.modes.length < 2;
  $("collapse").checked = options.collapse;
  take($("language"), options.language);
  take($("k"), String(options.k));
  $("columns").classList.toggle("two", Boolean(options.beside));
  columns[0].choose(options.mode);
  columns[1].choose(options.beside || options.mode);
  columns[1].shown.hidden = !options.beside;
  $("preferred").hidden = !isPreferred(options);
  $("boost").value = options.boost;
  $("boost-shown").textContent = options.boost.toFixed(2);
  $("read").replaceChildren(...options.preferred.map((code) => element("li", {}, element("button", {
    type: "button", class: "tag", "aria-label": `Remove ${language(code).name}`,
    click: () => {
      change({ preferred: options.preferred.filter((one) => one !== code) });
      $("add-preferred").focus();
    },
  }, element("bdi", {}, language(code).name), " ×"))));
  $("add-preferred").value = "";
  renderChips();
}

function take(select, wanted) {
  if (![...select.options].some(({ value }) => value === wanted)) select.append(element("option", {}, wanted));
  select.value = wanted;
}

function renderChips() {
  const colour = colours(answers);
  const all = $("all").getAttribute("aria-expanded") === "true";
  const on = few();
  for (const { code, share } of about.languages) {
    const pressed = options.languages.includes(code);
    const searched = !options.languages.length || pressed;
    chips.get(code).hidden = !all && !on.has(code);
    fillChip(chips.get(code), {
      pressed, colour: answers.length ? colour(code) : "",
      hits: searched ? answers.map(({ shares }) => shares[code]?.hits ?? 0) : [],
      pool: answers[0]?.shares[code]?.pool ?? (searched ? share : null),
    });
  }
  $("all").hidden = on.size === about.languages.length;
  $("all").textContent = all ? "Fewer languages" : `All ${about.languages.length} languages`;
  $("clear").hidden = !options.languages.length;
}

/** Return the languages that are always shown: pressed ones, the question's, and those with most results. */
function few() {
  const hits = (code) => answers.reduce((sum, { shares }) => sum + (shares[code]?.hits ?? 0), 0);
  const codes = about.languages.map(({ code }) => code);
  const ranked = [...codes].sort((a, b) => hits(b) - hits(a));
  const room = roomy.matches ? Math.max(12, codes.filter((code) => hits(code) > 0).length) : 4;
  const asked = codes.filter((code) => code === answers[0]?.language);
  const focused = codes.filter((code) => chips.get(code).contains(document.activeElement));
  return new Set([...options.languages, ...asked, ...focused, ...ranked.slice(0, room)]);
}

/** Show results in the columns, or the page before a question if there are none. */
function show(got) {
  answers = got;
  showFailure(null);
  const context = { language, colour: colours(answers) };
  columns.forEach((column, at) => {
    const other = answers[1 - at];
    if (!answers[at]) column.clear();
    else column.fill(answers[at], other && moves(answers[at].hits, other.hits, at === 1, other.mode), context);
  });
  renderChips();
  const ready = "Type a question and press Enter. Results may be in any language.";
  const { unknown } = options;
  const lost = unknown.length ? `Not in this index and ignored: ${unknown.join(", ")}` : "";
  $("status").textContent = [options.question ? said() : ready, lost].filter(Boolean).join(" · ");
}

function said() {
  if (!answers.length) return "";
  const [{ language: code, detected, seconds }] = answers;
  const found = answers.every(({ hits }) => !hits.length) ? "Nothing found"
    : plural(answers.map(({ hits }) => hits.length).join(" and "), "result");
  const took = Object.values(seconds ?? {}).reduce((sum, one) => sum + one, 0);
  const asked = code ? `question in ${language(code).name}${detected ? " (detected)" : ""}` : "";
  return [found, asked, `${took.toFixed(2)} s`].filter(Boolean).join(" · ");
}

/** Show an error and offer to try again. null removes it. */
function showFailure(failure, again) {
  if (!failure) return $("error").replaceChildren();
  if (!(failure instanceof Failure)) console.error(failure);
  const { status, message, hint } = failure;
  const key = element("input", { type: "password", id: "key", autocomplete: "off" });
  $("status").textContent = "";
  $("error").replaceChildren(element("form", {
    class: "error", submit: (event) => {
      event.preventDefault();
      if (status === 401) setKey(key.value);
      showFailure(null);
      $("question").focus();
      again();
    },
  }, element("p", {}, element("strong", {}, message), hint ? ` ${hint}` : ""),
  status === 401 ? element("p", {}, element("label", { for: "key" }, "Key "), key) : null,
  element("button", {}, "Try again")));
  if (status === 401) key.focus();
}
