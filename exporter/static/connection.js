// The stream of events from the exporter, and the truth about whether it is there.

const PATIENCE = 10_000; // ms for an attempt to connect
const SILENCE = 45_000; // ms without an event; heartbeats are comments, which a script cannot see
const DOUBTFUL = 20_000; // ms without an event, when the person comes back to the page
const RETRY = [1_000, 2_000, 4_000, 8_000, 15_000]; // ms before each attempt, the last for all that follow

/**
 * Once opened, listens to `url` for ever. `onEvent(name, data)` gets what comes, `onState()` is called when `state` changes:
 * "connecting" until the first answer, then "live" or "lost", `since` a Unix time in ms. While lost, `retryAt` is when
 * the next attempt is made, or null while one is under way.
 */
export class Connection {
  state = "connecting";
  since = Date.now();
  retryAt = null;
  #url;
  #onEvent;
  #onState;
  #source = null;
  #timer = 0;
  #failures = 0;
  #heard = Date.now();

  constructor(url, onEvent, onState) {
    this.#url = url;
    this.#onEvent = onEvent;
    this.#onState = onState;
    addEventListener("online", () => this.#doubt(0));
    document.addEventListener("visibilitychange", () => document.hidden || this.#doubt(DOUBTFUL));
  }

  /** Connect, or connect anew. */
  open() {
    this.#source?.close();
    const source = new EventSource(this.#url);
    this.#source = source;
    this.retryAt = null;
    source.addEventListener("open", () => this.#alive());
    for (const name of ["snapshot", "update"]) {
      source.addEventListener(name, (event) => {
        this.#alive();
        this.#onEvent(name, JSON.parse(event.data));
      });
    }
    source.addEventListener("error", () => this.#fail(Date.now()));
    // A connection that has died without a word is only found out now: what it last said is the last that is known.
    this.#after(PATIENCE, () => {
      source.close();
      this.#fail(this.#heard);
    });
    this.#onState();
  }

  #alive() {
    this.#heard = Date.now();
    this.#failures = 0;
    this.#become("live", this.#heard);
    // After silence, connecting anew is the one way to tell whether there is nothing to say, or nobody left to say it.
    this.#after(SILENCE, () => this.open());
  }

  #fail(since) {
    const delay = RETRY[Math.min(this.#failures, RETRY.length - 1)];
    this.#failures += 1;
    // After some failures a browser connects again by itself, and asks only for what it missed. After others it gives up.
    const closed = this.#source.readyState === EventSource.CLOSED;
    this.retryAt = closed ? Date.now() + delay : null;
    this.#after(closed ? delay : PATIENCE, () => this.open());
    this.#become(this.state === "connecting" ? "connecting" : "lost", since);
    this.#onState();
  }

  #become(state, since) {
    if (state === this.state) return;
    this.state = state;
    this.since = since;
    this.#onState();
  }

  #doubt(silence) {
    if (this.state !== "live" || Date.now() - this.#heard > silence) this.open();
  }

  #after(delay, act) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, delay);
  }
}
