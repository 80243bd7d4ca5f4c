// A column of results: the ranking's switch, the bars of languages, the hits. On a phone, one is seen at a time.

import { element, own } from "./dom.js";
import { card } from "./hit.js";
import { bars } from "./shares.js";
import { knows, say } from "./words.js";

const KEYS = { preferred: "preferred_mode" };

/** Return the name of a ranking for people. */
export function modeName(mode) {
  const key = KEYS[mode] ?? mode;
  return knows(key) ? say(key) : mode[0].toUpperCase() + mode.slice(1);
}

/** A column. `modes` are those of the index. `choose` is called with the one that the user selects. */
export class Column {
  constructor(which, modes, choose) {
    this.modes = modes;
    this.radios = modes.map(({ name }) => element("input", { type: "radio", name: which, value: name,
      change: () => choose(name) }));
    this.about = element("p", { class: "mode-about quiet" });
    this.bars = element("div");
    this.list = element("ol", { class: "hits-list" });
    this.cards = [];
    this.head = element("div", {},
      element("fieldset", { class: "modes" }, element("legend", { class: "unseen" }, say("ranking")),
        ...modes.map(({ name }, at) => element("label", {}, this.radios[at], element("span", {}, modeName(name))))),
      this.about);
    this.shown = element("section", { class: "column" }, this.head, this.bars,
      element("h2", { class: "unseen" }, say("show")), this.list);
    new ResizeObserver(() => this.measure()).observe(this.list);
  }

  /** Show the selected mode. */
  choose(mode) {
    this.mode = mode;
    for (const radio of this.radios) radio.checked = radio.value === mode;
    // A mode that the page does not know is explained by the service, in English.
    const about = this.modes.find(({ name }) => name === mode).about;
    this.about.replaceChildren(knows(`${mode}_about`) ? say(`${mode}_about`) : own("span", { lang: "en", dir: "ltr" }, about));
    this.shown.setAttribute("aria-label", say("results_by", { mode: modeName(mode) }));
  }

  /** Show a result. `moves` compares each hit with the other column. */
  fill(answer, moves, context) {
    this.head.hidden = false;
    this.cards = answer.hits.map((hit, at) => card(hit, { ...context, move: moves?.[at] }));
    this.list.replaceChildren(...this.cards.map(({ shown }) => element("li", {}, shown)));
    const name = (code) => context.language(code).name;
    this.bars.replaceChildren(...(answer.hits.length ? [bars(answer, name, context.colour)] : []));
    this.measure();
  }

  /** Show a document by itself, open. */
  alone(document, context) {
    this.clear();
    this.head.hidden = true;
    this.cards = [card(document, context)];
    this.cards[0].shown.classList.add("open");
    this.list.replaceChildren(element("li", {}, this.cards[0].shown));
  }

  clear() {
    this.cards = [];
    this.list.replaceChildren();
    this.bars.replaceChildren();
  }

  /** Offer the whole passage where it does not show. */
  measure() {
    const cut = this.cards.map(({ isCut }) => isCut()); // first all that reads the layout, then what changes it
    this.cards.forEach(({ offer }, at) => offer(cut[at]));
  }
}

/** Tabs over two columns that are wider together than the screen. A swipe changes columns too. */
export class Tabs {
  constructor(shown, columns) {
    this.shown = shown;
    this.columns = columns;
    this.buttons = columns.map(({ shown: column }) => element("button", { type: "button", click: () =>
      column.scrollIntoView({ inline: "start", block: "nearest" }) }));
    shown.replaceChildren(...this.buttons);
    const seen = new IntersectionObserver((changes) => {
      for (const { target, intersectionRatio } of changes)
        this.buttons[columns.findIndex(({ shown: column }) => column === target)]
          .setAttribute("aria-pressed", intersectionRatio > 0.5);
    }, { root: columns[0].shown.parentElement, threshold: [0, 0.5, 1] });
    for (const { shown: column } of columns) seen.observe(column);
  }

  /** Name the tabs after the rankings of their columns. */
  name() {
    this.buttons.forEach((button, at) => { button.textContent = modeName(this.columns[at].mode); });
  }
}
