// A column of results: the ranking's switch, the bars of languages, the hits.

import { element } from "./dom.js";
import { card } from "./hit.js";
import { bars } from "./shares.js";

const title = (mode) => mode[0].toUpperCase() + mode.slice(1);

/** A column. `modes` are those of the index. `choose` is called with the one that the user selects. */
export class Column {
  constructor(number, modes, choose) {
    this.modes = modes;
    this.radios = modes.map(({ name }) => element("input", { type: "radio", name: `mode-${number}`, value: name,
      change: () => choose(name) }));
    this.about = element("p", { class: "mode-about quiet" });
    this.bars = element("div");
    this.list = element("ol", { class: "hits-list" });
    this.cards = [];
    this.shown = element("section", { class: "column", "aria-label": `Results ${number}` },
      element("fieldset", { class: "modes" }, element("legend", { class: "unseen" }, "Ranking"),
        ...modes.map(({ name }, at) => element("label", {}, this.radios[at], element("span", {}, title(name))))),
      this.about, this.bars, element("h2", { class: "unseen" }, "Results"), this.list);
    new ResizeObserver(() => this.measure()).observe(this.list);
  }

  /** Show the selected mode. */
  choose(mode) {
    for (const radio of this.radios) radio.checked = radio.value === mode;
    this.about.textContent = this.modes.find(({ name }) => name === mode).about;
    this.shown.setAttribute("aria-label", `Results, ranking: ${mode}`);
  }

  /** Show a result. `moves` compares each hit with the other column. */
  fill(answer, moves, { language, colour }) {
    this.cards = answer.hits.map((hit, at) => card(hit, { language, colour, move: moves?.[at] }));
    this.list.replaceChildren(...this.cards.map(({ shown }) => element("li", {}, shown)));
    this.bars.replaceChildren(...(answer.hits.length ? [bars(answer, (code) => language(code).name, colour)] : []));
    this.measure();
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
