// One result. Its card has the direction of its language. The page's own words in it stay English.

import { element, english } from "./dom.js";
import { parts } from "./text.js";

const MEANING = {
  cosine: "similarity of the question’s and the document’s vectors",
  language: "added by this ranking for the language",
  dense: "from the rank by vectors",
  lexical: "from the rank by shared words",
  reranker: "score of the cross-encoder",
};

// A document is shown from its best sentence on if more than this many characters come before it.
const LEAD = 140;

/** Return the card of a result. The context has language(code) → {name, direction}, colour(code), and move or null. */
export function card(hit, { language, colour, move }) {
  const { name, direction } = language(hit.language);
  const text = element("p", { class: "text" });
  const why = reasons(hit, language);
  const more = english("button", { type: "button", class: "link more", hidden: true, click: () => {
    open(true, !why.hidden);
    shown.focus();
  } }, "Whole document");
  const score = english("button", { type: "button", class: "link score", "aria-expanded": "false",
    click: () => open(isOpen(), why.hidden) },
  element("span", { class: "unseen" }, "Score "), hit.score.toFixed(3), " why");
  const shown = element("article", { class: "hit", tabindex: 0, lang: hit.language || null, dir: direction,
    "aria-label": `${hit.rank}, ${name}: ${hit.title || hit.text.slice(0, 60)}`,
    keydown: (event) => { if (event.key === "Enter" && event.target === shown) open(why.hidden, why.hidden); } },
    element("header", {},
      element("span", {}, element("span", { class: "rank", lang: "en" }, String(hit.rank)), " ",
        english("span", { class: "language" }, element("span", { class: "swatch", "data-colour": colour(hit.language) }),
          " ", element("bdi", {}, name), " ", element("span", { class: "code" }, hit.language))),
      move && english("span", { class: `move ${move.kind}`, title: move.said },
        element("span", { "aria-hidden": "true" }, move.mark), element("span", { class: "unseen" }, move.said)),
      element("span", { class: "end" }, score)),
    why, hit.title ? element("h3", {}, hit.title) : null, text, more, others(hit, language));

  const [before, marked, after] = parts(hit.text, hit.highlight);
  const late = before.length > LEAD;
  write(late);
  function isOpen() {
    return shown.classList.contains("open");
  }
  function write(short) {
    text.replaceChildren(short ? "… " : before, marked ? element("mark", {}, marked) : "", after);
  }
  function open(whole, reason) {
    shown.classList.toggle("open", whole);
    why.hidden = !reason;
    score.setAttribute("aria-expanded", reason);
    write(late && !whole);
    offer(isCut());
  }
  function isCut() {
    return !isOpen() && (late || text.scrollHeight > text.clientHeight + 1);
  }
  function offer(whole) {
    more.hidden = !whole;
  }
  return { shown, isCut, offer };
}

function reasons(hit, language) {
  const rows = Object.entries(hit.explanation).map(([term, value]) => row(term, value.toFixed(3), MEANING[term]));
  const fields = Object.entries(hit.metadata ?? {}).map(([field, value]) => row(field, String(value)));
  return english("dl", { class: "why", hidden: true }, ...rows, ...fields, row("id", hit.id));
}

function row(term, value, meaning) {
  return element("div", {}, element("dt", {}, element("bdi", {}, term)),
    element("dd", {}, element("bdi", {}, value), meaning ? element("span", { class: "quiet" }, ` ${meaning}`) : null));
}

function others(hit, language) {
  const codes = Object.keys(hit.languages ?? {}).filter((code) => code !== hit.language);
  if (!codes.length) return null;
  const links = new Map((hit.versions ?? []).map((version) => [version.language, link(version.metadata?.url)]));
  const names = codes.map((code) => {
    const { name } = language(code);
    return links.get(code) ? element("a", { href: links.get(code), hreflang: code, rel: "noreferrer" }, name) : name;
  });
  return english("p", { class: "others quiet" }, "Also in ", ...names.flatMap((name, at) => (at ? [", ", name] : [name])));
}

/** Return an address that a document names if it is one of the web, so that a click never runs a script. */
function link(address) {
  return typeof address === "string" && /^https?:\/\//i.test(address) ? address : null;
}

/** Compare the results of a column with the other: on the left those that leave, on the right new and moved ones. */
export function moves(hits, other, right, mode) {
  const ids = (hit) => [hit.id, ...Object.values(hit.languages ?? {})];
  const rank = new Map();
  for (const hit of other) for (const id of ids(hit)) rank.set(id, hit.rank);
  return hits.map((hit) => {
    const was = ids(hit).map((id) => rank.get(id)).find(Boolean);
    if (was === undefined)
      return right ? { kind: "comes", mark: "new", said: `Not among the results of ${mode}` }
        : { kind: "leaves", mark: "leaves", said: `Not among the results of ${mode}` };
    if (!right || was === hit.rank) return null;
    const by = Math.abs(was - hit.rank);
    return was > hit.rank ? { kind: "up", mark: `↑ ${by}`, said: `Up from place ${was} in ${mode}` }
      : { kind: "down", mark: `↓ ${by}`, said: `Down from place ${was} in ${mode}` };
  });
}
