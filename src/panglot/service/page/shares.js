// The languages of results and index: colours, the bars above a column, the chips.

import { element } from "./dom.js";
import { number, percent, say } from "./words.js";

const COLOURS = 7;

const kept = new Map();

/**
 * Return the number of each language's colour. 0 is the question's language. Languages with most results have a colour
 * each, which they keep from question to question if possible. The rest share the last one.
 */
export function colours(answers) {
  const hits = new Map();
  for (const { shares } of answers)
    for (const [code, share] of Object.entries(shares)) hits.set(code, (hits.get(code) ?? 0) + share.hits);
  const asked = answers[0]?.language;
  const ranked = [...hits].filter(([code, share]) => share > 0 && code !== asked).sort((a, b) => b[1] - a[1])
    .slice(0, COLOURS - 1).map(([code]) => code);
  const had = new Set(kept.values());
  const free = new Set(Array.from({ length: COLOURS - 1 }, (_, at) => at + 1).sort((a, b) => had.has(a) - had.has(b)));
  const found = new Map();
  for (const code of ranked) if (free.delete(kept.get(code))) found.set(code, kept.get(code));
  for (const code of ranked) {
    if (found.has(code)) continue;
    const [next] = free;
    free.delete(next);
    found.set(code, next);
  }
  for (const [code, number] of found) kept.set(code, number);
  return (code) => (code === asked ? 0 : found.get(code) ?? COLOURS);
}

/** Return two bars, results above index, with languages in the same order, and a sentence with the same figures. */
export function bars(answer, name, colour) {
  const { shares, language } = answer;
  const codes = Object.keys(shares).sort((a, b) => colour(a) - colour(b));
  const bar = (which, label) => {
    const drawn = codes.filter((code) => shares[code][which] > 0).map((code) => {
      const share = shares[code][which];
      const title = `${name(code)}: ${percent(share)}`;
      const part = element("span", { class: "part", "data-colour": colour(code), title });
      part.style.flexGrow = share;
      if (which === "hits") part.append(element("span", {}, code));
      return part;
    });
    return element("div", { class: `bar ${which}` }, element("span", { class: "label" }, label),
      element("span", { class: "drawn" }, ...drawn));
  };
  const many = codes.filter((code) => shares[code].hits > 0).length;
  const asked = shares[language];
  const values = { name: name(language), hits: percent(asked?.hits ?? 0), pool: percent(asked?.pool ?? 0) };
  const said = [language && say(asked ? "own_share" : "own_absent", values),
    many === 1 ? say("one_language") : say("many_languages", { n: number(many) })].filter(Boolean).join(" ");
  return element("div", { class: "bars" },
    element("div", { "aria-hidden": "true" }, bar("hits", say("results")), bar("pool", say("index"))),
    element("p", { class: "said quiet" }, said));
}

/** Return the chip of a language. If pressed, only its documents are searched. */
export function chip({ code, name }, press) {
  const shown = element("button", { type: "button", class: "chip", "aria-pressed": "false", click: () => press(code) },
    element("span", { class: "swatch" }),
    element("span", { class: "name" }, element("bdi", {}, name), " ", element("span", { class: "code" }, code)),
    element("span", { class: "hits" }, element("span", { class: "unseen" }, `${say("results")} `), element("span")),
    element("span", { class: "pool" }, element("span", { class: "unseen" }, `${say("index")} `), element("span")),
    element("span", { class: "meter" }, element("span", { class: "fill" }), element("span", { class: "fill other" }),
      element("span", { class: "tick" })));
  return element("li", {}, shown);
}

/** Fill a chip. `hits` has a share for each column. It is empty, and `pool` null, if the language was not searched. */
export function fillChip(item, { hits, pool, pressed, colour }) {
  const shown = item.firstChild;
  const [fill, other, tick] = shown.querySelector(".meter").children;
  const none = !hits.some((share) => share > 0);
  // Isolated, so that the figures stay in the order of the columns whatever marks of direction they hold.
  const arrow = document.documentElement.dir === "rtl" ? " ← " : " → ";
  const change = (none ? hits.slice(0, 1) : hits).map((share) => `\u2068${percent(share)}\u2069`).join(arrow);
  shown.setAttribute("aria-pressed", pressed);
  shown.querySelector(".swatch").dataset.colour = colour;
  for (const [which, text] of [["hits", change], ["pool", pool === null ? "" : percent(pool)]]) {
    shown.querySelector(`.${which}`).hidden = !text;
    shown.querySelector(`.${which}`).lastChild.textContent = text;
  }
  fill.style.inlineSize = `${100 * (hits[0] ?? 0)}%`;
  other.style.inlineSize = `${100 * (hits[1] ?? 0)}%`;
  tick.hidden = pool === null;
  tick.style.insetInlineStart = `${100 * (pool ?? 0)}%`;
  shown.classList.toggle("two", hits.length > 1);
  shown.classList.toggle("none", none);
}
