// The event stream from the exporter, and the state of the connection.

const PATIENCE = 10_000; // ms for an attempt to connect
const SILENCE = 45_000; // ms without an event; heartbeats are comments, which a script cannot see
const DOUBTFUL = 20_000; // ms without an event, when the user returns to the page
const RETRY = [1_000, 2_000, 4_000, 8_000, 15_000]; // ms before each attempt; the last applies to all later ones

/**
 * Listens to `url` for ever once opened. Calls `onEvent(name, data)` for each event and `onState()` when `state` changes:
 * "connecting" until the first answer, then "live" or "lost", since the Unix time `since` in ms. While lost, `retryAt` is
 * the time of the next attempt, or null during an attempt.
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

  /** Connect, or reconnect. */
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
    // A dead connection is noticed only now: its last event is the newest known state.
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
    // After silence, only reconnecting shows whether there were no changes or the connection is dead.
    this.#after(SILENCE, () => this.open());
  }

  #fail(since) {
    const delay = RETRY[Math.min(this.#failures, RETRY.length - 1)];
    this.#failures += 1;
    // After some failures the browser reconnects by itself and gets only what it missed. After others it gives up.
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
