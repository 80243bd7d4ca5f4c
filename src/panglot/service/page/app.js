// The page: options in the address and in the form, results in columns.

import { about as askAbout, Failure, fetchDocument, search, setKey } from "./api.js";
import { Column, modeName, Tabs } from "./column.js";
import { element, own } from "./dom.js";
import { moves } from "./hit.js";
import { listen } from "./keys.js";
import { interfaceOf, isPreferred, ofBrowser, read, usual, write } from "./options.js";
import { chip, colours, fillChip } from "./shares.js";
import { INTERFACES, languageName, number, ofBrowser as interfaceOfBrowser, say, speak } from "./words.js";

const roomy = matchMedia("(min-width: 60rem)");
const phone = matchMedia("(max-width: 44rem)");
const $ = (id) => document.getElementById(id);

let about, options, columns, chips, tabs, pending;
let answers = [];
let early = false; // Whether a question was submitted before the contents of the index were known.

const byCode = (code) => about.languages.find((one) => one.code === code);
const language = (code) => byCode(code)
  ?? { code, name: code ? languageName(code, code) : say("unknown_language"), direction: "auto" };
const modes = () => [options.mode, ...(options.beside ? [options.beside] : [])];

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (about) change();
  else early = true;
});
start();

async function start() {
  try {
    await speak(interfaceOf(location.search) || interfaceOfBrowser());
    $("status").textContent = say("loading");
    about = await askAbout();
  } catch (failure) {
    return showFailure(failure, start);
  }
  showFailure(null);
  for (const one of about.languages) one.name = languageName(one.code, one.name);
  options = readAddress();
  const typed = $("question").value;
  if (early) options.question = typed.trim();
  const { documents, languages, model } = about;
  $("about").textContent =
    [say("documents", { n: number(documents) }), say("languages_in", { n: number(languages.length) }), model].join(" · ");
  for (const select of [$("language"), $("add-preferred")])
    select.append(...languages.map(({ code, name }) => element("option", { value: code }, `${name} (${code})`)));
  columns = ["mode", "beside"].map((which) => new Column(which, about.modes, (mode) => change({ [which]: mode })));
  $("columns").replaceChildren(...columns.map(({ shown }) => shown));
  tabs = new Tabs($("tabs"), columns);
  chips = new Map(languages.map((one) => [one.code, chip(one, press)]));
  $("chips").replaceChildren(...chips.values());
  wire();
  render();
  if (typed) $("question").value = typed;
  run();
}

function wire() {
  $("ui").append(...Object.entries(INTERFACES).map(([code, name]) => element("option", { value: code, lang: code }, name)));
  $("ui").value = document.documentElement.lang;
  // The page is loaded again, because all of its texts change.
  $("ui").addEventListener("change", () => {
    location.search = write({ ...options, ui: $("ui").value }, about);
  });
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
  const fold = () => {
    $("options").open = !phone.matches;
    // Columns that scroll can be scrolled by keys.
    if (phone.matches) $("columns").tabIndex = 0;
    else $("columns").removeAttribute("tabindex");
  };
  phone.addEventListener("change", fold);
  fold();
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
  return { mode: first, beside: options.mode === first ? usual(about).beside || second : options.mode };
}

const press = (code) => change({
  languages: options.languages.includes(code)
    ? options.languages.filter((one) => one !== code) : [...options.languages, code],
});

/** Set new options in the address and in the form, and search if there is a question. */
function change(some = {}) {
  options = { ...options, question: $("question").value.trim(), document: "", unknown: [], ...some };
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
  if (!options.question) {
    show([]);
    if (options.document) showDocument(options.document);
    return;
  }
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
  if (now) $("status").textContent = say("searching");
}

/** Show the options in the form. */
function render() {
  $("question").value = options.question;
  document.title = options.question ? `${options.question} · panglot` : `panglot: ${say("title")}`;
  $("beside").checked = Boolean(options.beside);
  $("beside").disabled = about.modes.length < 2;
  $("collapse").checked = options.collapse;
  take($("language"), options.language);
  take($("k"), String(options.k));
  // A document by itself has all of the width.
  const two = Boolean(options.beside && options.question);
  $("columns").classList.toggle("two", two);
  $("columns").hidden = !options.question && !options.document;
  $("tabs").hidden = !two;
  columns[0].choose(options.mode);
  columns[1].choose(options.beside || options.mode);
  columns[1].shown.hidden = !two;
  tabs.name();
  renderExamples();
  $("preferred").hidden = !isPreferred(options);
  // A boost above the end of the slider comes from the address.
  $("boost").max = Math.max($("boost").max, options.boost);
  $("boost").value = options.boost;
  $("boost-shown").textContent = options.boost.toFixed(2);
  $("read").replaceChildren(...options.preferred.map((code) => element("li", {}, element("button", {
    type: "button", class: "tag", "aria-label": say("remove", { name: language(code).name }),
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
  $("all").textContent = all ? say("fewer") : say("all", { n: number(about.languages.length) });
  $("clear").hidden = !options.languages.length;
}

/** Return the languages that are always shown: pressed ones, the question's, and those with most results. */
function few() {
  const hits = (code) => answers.reduce((sum, { shares }) => sum + (shares[code]?.hits ?? 0), 0);
  const codes = about.languages.map(({ code }) => code);
  const ranked = [...codes].sort((a, b) => hits(b) - hits(a));
  const room = roomy.matches ? Math.max(12, codes.filter((code) => hits(code) > 0).length) : phone.matches ? 0 : 4;
  const asked = codes.filter((code) => !phone.matches && code === answers[0]?.language);
  const focused = codes.filter((code) => chips.get(code).contains(document.activeElement));
  return new Set([...options.languages, ...asked, ...focused, ...ranked.slice(0, room)]);
}

/** Show results in the columns, or the page before a question if there are none. */
function show(got) {
  answers = got;
  showFailure(null);
  const context = surroundings();
  columns.forEach((column, at) => {
    const other = answers[1 - at];
    if (!answers[at]) column.clear();
    else column.fill(answers[at], other && moves(answers[at].hits, other.hits, at === 1, modeName(other.mode)), context);
  });
  renderChips();
  const { unknown } = options;
  const lost = unknown.length ? say("ignored", { list: unknown.join(", ") }) : "";
  const shown = options.question ? said() : options.document ? "" : say("ready");
  $("status").textContent = [shown, lost].filter(Boolean).join(" · ");
}

/** What cards need to know besides their hits. */
function surroundings() {
  const address = (id) => `?${write({ ...options, question: "", document: id }, about)}`;
  const fetched = (id) => fetchDocument(id).catch((failure) => {
    showFailure(failure, () => {});
    return null;
  });
  return { language, colour: colours(answers), address, fetched };
}

async function showDocument(id) {
  const found = await surroundings().fetched(id);
  if (found && id === options.document && !options.question) columns[0].alone(found, surroundings());
}

/** Offer questions of the index until there is one. Each is a link to its search. */
function renderExamples() {
  const { examples = [] } = about;
  $("examples").hidden = Boolean(options.question || options.document || !examples.length);
  $("examples").querySelector("ul").replaceChildren(...examples.map(({ query, language: code }) => {
    const { name, direction } = language(code);
    const link = element("a", { href: `?${write({ ...options, question: query }, about)}`, lang: code,
      click: (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        change({ question: query });
      } }, query);
    return element("li", { dir: direction }, link, " ", own("span", { class: "quiet" }, name));
  }));
}

function said() {
  if (!answers.length) return "";
  const [{ language: code, detected, seconds }] = answers;
  const numbers = answers.map(({ hits }) => number(hits.length));
  const found = answers.every(({ hits }) => !hits.length) ? say("nothing")
    : say("found", { n: numbers.length > 1 ? say("and", { a: numbers[0], b: numbers[1] }) : numbers[0] });
  const took = Object.values(seconds ?? {}).reduce((sum, one) => sum + one, 0);
  const asked = code ? say(detected ? "detected" : "question_in", { name: language(code).name }) : "";
  return [found, asked, say("seconds", { n: number(took, { minimumFractionDigits: 2, maximumFractionDigits: 2 }) })]
    .filter(Boolean).join(" · ");
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
  status === 401 ? element("p", {}, element("label", { for: "key" }, say("key"), " "), key) : null,
  element("button", {}, say("again"))));
  if (status === 401) key.focus();
}
