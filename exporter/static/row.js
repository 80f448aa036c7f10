// One streamer's row of the table.

import { age } from "./clock.js";
import { fromTemplate, setText } from "./dom.js";
import { draw } from "./sparkline.js";
import { ago, date, number } from "./text.js";

const REDRAW = 1_000; // ms between two drawings of a changing history
const SHIFT = 5_000; // ms after which an unchanged history is drawn again: one pixel
const LIGHTS = new Map([
  [true, { state: "on", text: "REC" }],
  [false, { state: "off", text: "off" }],
  [null, { state: "unknown", text: "–" }],
]);

export class Row {
  element = fromTemplate("row");
  #streamer;
  #light = this.element.querySelector(".recording span");
  #viewers = this.element.querySelector(".viewers");
  #velocity = this.element.querySelector(".velocity");
  #clips = this.element.querySelector(".clips");
  #type = this.element.querySelector(".trigger bdi");
  #time = this.element.querySelector(".trigger time");
  #svg = this.element.querySelector("svg");
  #trigger = null;
  #drawn = 0;
  #outdated = true;

  constructor(streamer) {
    this.#streamer = streamer;
    const name = this.element.querySelector("th bdi");
    name.textContent = streamer.name;
    name.title = streamer.name;
  }

  /** Show the streamer's current numbers. */
  show(now) {
    const { viewers, velocity, recording, clips, trigger } = this.#streamer;
    setText(this.#viewers, number(viewers));
    setText(this.#velocity, number(velocity));
    setText(this.#clips, number(clips));
    const light = LIGHTS.get(recording);
    if (this.#light.dataset.light !== light.state) {
      this.#light.dataset.light = light.state;
      setText(this.#light, light.text);
    }
    if (this.#trigger !== trigger) {
      this.#trigger = trigger;
      setText(this.#type, trigger?.type ?? "");
      this.#time.dateTime = trigger?.timestamp ?? "";
      this.#time.title = trigger ? date(trigger.at) : "";
      setText(this.#time, trigger ? ago(age(trigger.at)) : "–");
    }
    this.#outdated = true;
    if (now - this.#drawn >= REDRAW) this.#draw(now);
  }

  /** Update ages. */
  tick(now) {
    if (this.#trigger) setText(this.#time, ago(age(this.#trigger.at)));
    if (now - this.#drawn >= (this.#outdated ? REDRAW : SHIFT)) this.#draw(now);
  }

  #draw(now) {
    draw(this.#svg, this.#streamer.history, now);
    this.#drawn = now;
    this.#outdated = false;
  }
}
