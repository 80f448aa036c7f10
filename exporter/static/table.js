// The table of streamers: which rows, in which order.

import { arrange, setText } from "./dom.js";
import { Row } from "./row.js";
import { compareNames, folded, number } from "./text.js";

const MOST = 500; // rows; beyond that nobody reads, and a browser slows down
const REORDER = 5_000; // ms between two orders: rows that jump with every number cannot be read
// What each column sorts by, and the direction that a first press gives.
const COLUMNS = {
  streamer: { of: ({ name }) => name, first: "ascending" },
  recording: { of: ({ recording }) => recording, first: "descending" },
  viewers: { of: ({ viewers }) => viewers, first: "descending" },
  velocity: { of: ({ velocity }) => velocity, first: "descending" },
  clips: { of: ({ clips }) => clips, first: "descending" },
  trigger: { of: ({ trigger }) => trigger?.at ?? null, first: "descending" },
};
const OPPOSITE = { ascending: "descending", descending: "ascending" };

export class Table {
  #model;
  #table = document.querySelector("table");
  #body = document.querySelector("tbody");
  #shownText = document.getElementById("shown");
  #nobody = document.getElementById("nobody");
  #rows = new Map(); // of the streamers in the table
  #column = "viewers";
  #direction = COLUMNS.viewers.first;
  #filter = "";
  #ordered = 0;

  /** `onOrder()` is called when a person asks for another order. */
  constructor(model, onOrder) {
    this.#model = model;
    for (const button of this.#table.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        this.#sortBy(button.dataset.column);
        onOrder();
      });
    }
    this.#tellOrder();
  }

  /** Show only streamers whose name holds `text`, from the next order on. */
  filter(text) {
    this.#filter = text;
    this.#ordered = 0;
  }

  /** Show what has changed; `now` is Unix time in ms. */
  render(changed, regrouped, now) {
    if (regrouped || now - this.#ordered >= REORDER) this.#order(now);
    for (const streamer of changed) this.#rows.get(streamer)?.show(now);
  }

  /** Show that time has passed. */
  tick(now) {
    for (const row of this.#rows.values()) row.tick(now);
  }

  #sortBy(column) {
    const same = column === this.#column;
    this.#direction = same ? OPPOSITE[this.#direction] : COLUMNS[column].first;
    this.#column = column;
    this.#ordered = 0;
    this.#tellOrder();
  }

  #tellOrder() {
    for (const button of this.#table.querySelectorAll("button")) {
      if (button.dataset.column === this.#column) button.parentElement.ariaSort = this.#direction;
      else button.parentElement.removeAttribute("aria-sort");
    }
  }

  #order(now) {
    this.#ordered = now;
    const wanted = folded(this.#filter);
    const all = [...this.#model.streamers.values()];
    const found = wanted ? all.filter(({ name }) => folded(name).includes(wanted)) : all;
    const shown = found.sort(this.#comparison()).slice(0, MOST);
    const rows = new Map();
    for (const streamer of shown) rows.set(streamer, this.#rows.get(streamer) ?? newRow(streamer, now));
    this.#rows = rows;
    arrange(this.#body, [...rows.values()].map((row) => row.element));
    this.#table.hidden = shown.length === 0;
    this.#nobody.hidden = shown.length > 0 || all.length === 0;
    setText(this.#nobody, `No streamer's name holds “${this.#filter}”.`);
    const part = shown.length < found.length ? `the first ${number(shown.length)} of ` : "";
    const ofAll = found.length < all.length ? ` of ${number(all.length)}` : "";
    setText(this.#shownText, part || ofAll ? `${part}${number(found.length)}${ofAll}` : "");
  }

  #comparison() {
    const { of } = COLUMNS[this.#column];
    const sign = this.#direction === "ascending" ? 1 : -1;
    return (a, b) => {
      const [left, right] = [of(a), of(b)];
      // What was never reported comes last, whatever the direction.
      const missing = (left === null) - (right === null);
      const order = typeof left === "string" ? compareNames(left, right) : left - right;
      return missing || sign * order || compareNames(a.name, b.name);
    };
  }
}

function newRow(streamer, now) {
  const row = new Row(streamer);
  row.show(now);
  return row;
}
