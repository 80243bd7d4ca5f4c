// One result. Its card has the direction of its language. The page's own words in it keep theirs.

import { element, own } from "./dom.js";
import { knows, number, say } from "./words.js";

// A document is shown from its best sentence on if more than this many characters come before it.
const LEAD = 140;

/**
 * Return the card of a result. The context has language(code) → {name, direction}, colour(code), address(id) of a
 * document, fetched(id) → a promise of it or null, and move or null. A document by itself has no rank.
 */
export function card(hit, context) {
  const { language, colour, move } = context;
  const title = element("h3");
  const text = element("p", { class: "text" });
  const why = own("dl", { class: "why", hidden: true });
  const more = own("button", { type: "button", class: "link more", hidden: true, click: () => {
    open(true, !why.hidden);
    shown.focus();
  } }, say("whole"));
  const reason = own("button", { type: "button", class: "link score", "aria-expanded": "false",
    click: () => open(isOpen(), why.hidden) }, say("why"));
  const label = own("span", { class: "language" });
  const shown = element("article", { class: "hit", tabindex: 0,
    keydown: (event) => { if (event.key === "Enter" && event.target === shown) open(why.hidden, why.hidden); } },
    element("header", {},
      element("span", {}, hit.rank ? element("span", { class: "rank" }, String(hit.rank)) : null, " ", label),
      move && own("span", { class: `move ${move.kind}`, title: move.said },
        element("span", { "aria-hidden": "true" }, move.mark), element("span", { class: "unseen" }, move.said)),
      element("span", { class: "end" }, reason)),
    why, title, text, more, versions(hit, context, (found) => fill(found, [found.text, "", ""])));

  let before, marked, after, late;
  fill(hit, parts(hit.text, hit.highlight));

  /** Show the hit, or another version of it, as [before, marked, after]. */
  function fill(version, pieces) {
    const { name, direction } = language(version.language);
    [before, marked, after] = pieces;
    late = Boolean(marked) && before.length > LEAD;
    shown.lang = version.language;
    shown.dir = direction;
    shown.setAttribute("aria-label",
      [hit.rank, name].filter(Boolean).join(", ") + `: ${version.title || version.text.slice(0, 60)}`);
    label.replaceChildren(element("span", { class: "swatch", "data-colour": colour(version.language) }), " ",
      element("bdi", {}, name), " ", element("span", { class: "code" }, version.language));
    const web = webAddress(version.metadata?.url);
    const heading = version.title || web;
    title.replaceChildren(web ? element("a", { href: web, rel: "noreferrer" }, heading) : heading ?? "");
    title.hidden = !heading;
    // Only the version that ranked has a score.
    why.replaceChildren(...reasons(version.id === hit.id ? hit : version, context));
    write(late && !isOpen());
    offer(isCut());
  }
  function isOpen() {
    return shown.classList.contains("open");
  }
  function write(short) {
    text.replaceChildren(short ? "… " : before, marked ? element("mark", {}, marked) : "", after);
  }
  function open(whole, reasoned) {
    shown.classList.toggle("open", whole);
    why.hidden = !reasoned;
    reason.setAttribute("aria-expanded", reasoned);
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

/** Return the rows that say why a document was found, and what is known of it. */
function reasons(hit, { address }) {
  const meaning = (term) => (knows(`${term}_about`) ? say(`${term}_about`) : null);
  const rows = hit.rank ? [row(say("score"), number(hit.score, { minimumFractionDigits: 3 }), say("score_about"))] : [];
  const terms = Object.entries(hit.explanation ?? {});
  rows.push(...terms.map(([term, value]) => row(term, number(value, { minimumFractionDigits: 3 }), meaning(term))));
  rows.push(...Object.entries(hit.metadata ?? {}).map(([field, value]) => row(field, String(value))));
  const link = element("a", { href: address(hit.id) }, element("bdi", {}, hit.id));
  return [...rows, row("id", link)];
}

function row(term, value, meaning) {
  return element("div", {}, element("dt", {}, element("bdi", {}, term)),
    element("dd", {}, element("bdi", {}, value), meaning ? element("span", { class: "quiet" }, ` ${meaning}`) : null));
}

/** Return links to the versions of a hit, which show them in its place. Each is also the address of the document. */
function versions(hit, { language, address, fetched }, fill) {
  const known = Object.entries(hit.languages ?? {});
  if (known.length < 2) return null;
  known.sort(([one], [other]) => language(one).name.localeCompare(language(other).name));
  const links = known.map(([code, id]) => element("a", {
    href: address(id), "aria-current": id === hit.id && "true", click: async (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      const link = event.currentTarget;
      const found = await fetched(id);
      if (!found) return;
      for (const other of links) other.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
      fill(found);
    },
  }, element("bdi", {}, language(code).name)));
  return own("p", { class: "versions quiet" }, say("versions"), ...links.flatMap((link) => [" ", link]));
}

/** Return the position in UTF-16 units of a position in code points, which the service counts: 𠮷 is two of the first. */
function unit(text, point) {
  let at = 0;
  for (const character of text) {
    if (point-- <= 0) break;
    at += character.length;
  }
  return at;
}

/**
 * Return a text as [before, marked, after]. `highlight` is begin and end in code points, or null. Nothing is marked if
 * that is all of the text, because it would say nothing.
 */
function parts(text, highlight) {
  if (!highlight) return [text, "", ""];
  const [begin, end] = highlight.map((point) => unit(text, point));
  const found = [text.slice(0, begin), text.slice(begin, end), text.slice(end)];
  return found[0].trim() || found[2].trim() ? found : [text, "", ""];
}

/** Return an address that a document names if it is one of the web, so that a click never runs a script. */
function webAddress(address) {
  return typeof address === "string" && /^https?:\/\//i.test(address) ? address : null;
}

/** Compare the results of a column with the other: on the left those that leave, on the right new and moved ones. */
export function moves(hits, other, right, mode) {
  const ids = (hit) => [hit.id, ...Object.values(hit.languages ?? {})];
  const rank = new Map();
  for (const hit of other) for (const id of ids(hit)) rank.set(id, hit.rank);
  return hits.map((hit) => {
    const was = ids(hit).map((id) => rank.get(id)).find(Boolean);
    if (was === undefined) {
      const kind = right ? "comes" : "leaves";
      return { kind, mark: say(right ? "new" : "leaves"), said: say("absent", { mode }) };
    }
    if (!right || was === hit.rank) return null;
    const by = Math.abs(was - hit.rank);
    const kind = was > hit.rank ? "up" : "down";
    return { kind, mark: `${kind === "up" ? "↑" : "↓"} ${by}`, said: say(kind, { n: was, mode }) };
  });
}
