// Shows the connection's state as text and in the style of the page.

import { setText } from "./dom.js";
import { ago, time } from "./text.js";

const WORDS = { connecting: "Connecting", live: "Live", lost: "Connection lost" };

export class State {
  #connection;
  #word = document.querySelector("#state strong");
  #since = document.querySelector("#state .since");

  constructor(connection) {
    this.#connection = connection;
  }

  /** Show the state and its duration. */
  render(now) {
    const { state, since, retryAt } = this.#connection;
    document.body.dataset.state = state;
    // Screen readers announce the word, but not the passing seconds.
    setText(this.#word, WORDS[state]);
    const retrying = retryAt > now ? `trying again in ${Math.ceil((retryAt - now) / 1000)} s` : "trying to connect";
    const details = {
      connecting: retryAt > now ? `No answer yet, ${retrying}` : "",
      live: `since ${time(since)}`,
      lost: `${ago(now - since)}; numbers as of ${time(since)}; ${retrying}`,
    };
    setText(this.#since, details[state]);
  }
}
