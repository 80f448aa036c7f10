// The table of streamers: its rows and their order.

import { arrange, setText } from "./dom.js";
import { Row } from "./row.js";
import { compareNames, folded, number } from "./text.js";

const MOST = 500; // rows; more are not readable and slow the browser down
const REORDER = 5_000; // ms between two sorts; rows that jump with every update are not readable
// The sort key of each column, and the direction of the first click.
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

  /** Calls `onOrder()` when the user changes the order. */
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

  /** Show only streamers whose name contains `text`, from the next sort on. */
  filter(text) {
    this.#filter = text;
    this.#ordered = 0;
  }

  /** Show changes; `now` is Unix time in ms. */
  render(changed, regrouped, now) {
    if (regrouped || now - this.#ordered >= REORDER) this.#order(now);
    for (const streamer of changed) this.#rows.get(streamer)?.show(now);
  }

  /** Update ages. */
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
    setText(this.#nobody, `No streamer's name contains “${this.#filter}”.`);
    const part = shown.length < found.length ? `the first ${number(shown.length)} of ` : "";
    const ofAll = found.length < all.length ? ` of ${number(all.length)}` : "";
    setText(this.#shownText, part || ofAll ? `${part}${number(found.length)}${ofAll}` : "");
  }

  #comparison() {
    const { of } = COLUMNS[this.#column];
    const sign = this.#direction === "ascending" ? 1 : -1;
    return (a, b) => {
      const [left, right] = [of(a), of(b)];
      // Values never reported come last in both directions.
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
