// The list of triggers, newest first, and their announcements for screen readers.

import { age } from "./clock.js";
import { arrange, fromTemplate, setText } from "./dom.js";
import { ago, date, folded, number, precisely } from "./text.js";

const DETAILS = 8; // shown per trigger
const LONGEST = 120; // characters shown per detail
const SPOKEN_EVERY = 3_000; // ms; a burst is one announcement

export class Triggers {
  #list = document.querySelector("#triggers ol");
  #quiet = document.getElementById("quiet");
  #announced = document.getElementById("announced");
  #items = new Map(); // by trigger
  #wanted = "";
  #rendered = null;
  #unspoken = [];
  #timer = 0;

  /** Show only triggers of streamers whose name contains `text`, from the next rendering on. */
  filter(text) {
    this.#wanted = folded(text);
    this.#rendered = null;
  }

  /** Show `triggers`, newest first; the same array again changes nothing. */
  render(triggers) {
    if (triggers === this.#rendered) return;
    this.#rendered = triggers;
    const shown = triggers.filter(({ streamer }) => folded(streamer).includes(this.#wanted));
    this.#items = new Map(shown.map((trigger) => [trigger, this.#items.get(trigger) ?? item(trigger)]));
    arrange(this.#list, [...this.#items.values()]);
    this.#quiet.hidden = shown.length > 0;
    setText(this.#quiet, triggers.length ? "None for these streamers recently." : "None yet. They appear here as they happen.");
  }

  /** Update ages. */
  tick() {
    for (const [trigger, element] of this.#items) tell(element.querySelector("time"), trigger);
  }

  /** Announce new triggers. */
  announce(triggers) {
    this.#unspoken.push(...triggers);
    if (this.#unspoken.length) this.#timer ||= setTimeout(() => this.#speak(), this.#announced.textContent ? SPOKEN_EVERY : 0);
  }

  #speak() {
    const [first, ...others] = this.#unspoken.splice(0).reverse();
    const more = others.length ? `, and ${number(others.length)} more` : "";
    this.#announced.textContent = `Trigger: ${first.type}, ${first.streamer}${more}`;
    this.#timer = 0;
  }
}

function item(trigger) {
  const element = fromTemplate("trigger");
  const type = element.querySelector(".type");
  type.dataset.type = trigger.type;
  type.firstElementChild.textContent = trigger.type;
  element.querySelector("strong bdi").textContent = trigger.streamer;
  const time = element.querySelector("time");
  time.dateTime = trigger.timestamp;
  time.title = date(trigger.at);
  tell(time, trigger);
  const details = Object.entries(trigger.details);
  const list = element.querySelector("dl");
  for (const [key, value] of details.slice(0, DETAILS)) list.append(detail(key, value));
  if (details.length > DETAILS) list.append(detail("more", `${details.length - DETAILS}, in the JSON`));
  return element;
}

function detail(key, value) {
  const group = document.createElement("div");
  const term = document.createElement("dt");
  const description = document.createElement("dd");
  term.append(isolated(key));
  description.append(isolated(written(value)));
  group.append(term, description);
  return group;
}

function isolated(text) {
  const element = document.createElement("bdi");
  element.textContent = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
  return element;
}

function written(value) {
  if (typeof value === "number") return precisely(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function tell(element, trigger) {
  setText(element, ago(age(trigger.at)));
}
