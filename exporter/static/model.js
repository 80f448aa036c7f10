// The state of the streamers, from the exporter's events.

import { History } from "./history.js";

const RECENT = 20; // most triggers in a snapshot
const KEPT = 50; // triggers that the page shows
const HISTORIES = 2_000; // streamers; bounds the memory of the page
const GAUGES = { viewers: "viewer_counts", velocity: "chat_velocities", recording: "recording_status" };

/** `streamers` by name, `triggers` newest first, `clips` of today by streamer, including ended streams. */
export class Model {
  streamers = new Map();
  triggers = [];
  clips = new Map();
  changed = new Set(); // streamers with new numbers since the last frame
  regrouped = true; // whether streamers were added or removed since the last frame
  #histories = new Map();

  /** Replace everything with a snapshot, as from `GET /api/stats`; `now` is Unix time in ms. */
  snapshot(data, now) {
    const names = new Set(Object.values(GAUGES).flatMap((key) => Object.keys(data[key])));
    for (const name of this.streamers.keys()) {
      if (!names.has(name)) this.#clear(name, now);
    }
    this.clips = new Map(Object.entries(data.clips_today));
    for (const name of names) {
      const streamer = this.#streamer(name);
      streamer.clips = this.clips.get(name) ?? 0;
      for (const [gauge, key] of Object.entries(GAUGES)) {
        this.#set(streamer, gauge, Object.hasOwn(data[key], name) ? data[key][name] : null, now);
      }
    }
    this.#recent(data.recent_triggers);
  }

  /** Apply changes, in the format of `POST /api/stats`; return the triggers in them. */
  update(data, now) {
    for (const name of data.cleared ?? []) this.#clear(name, now);
    for (const [gauge, key] of Object.entries(GAUGES)) {
      for (const [name, value] of Object.entries(data[key] ?? {})) this.#set(this.#streamer(name), gauge, value, now);
    }
    for (const { streamer: name } of data.clips ?? []) {
      this.clips.set(name, (this.clips.get(name) ?? 0) + 1);
      const streamer = this.streamers.get(name);
      if (streamer) {
        streamer.clips = this.clips.get(name);
        this.changed.add(streamer);
      }
    }
    const triggers = (data.triggers ?? []).map(timed);
    if (triggers.length) this.#keep([...triggers.toReversed(), ...this.triggers]);
    return triggers;
  }

  /** Record that values are unknown from `now` until the next event. */
  lose(now) {
    for (const streamer of this.streamers.values()) streamer.history.add(now, null);
  }

  /** Remove histories with nothing to draw. */
  prune(now) {
    for (const [name, history] of this.#histories) {
      if (!this.streamers.has(name) && history.over(now)) this.#histories.delete(name);
    }
  }

  #streamer(name) {
    let streamer = this.streamers.get(name);
    if (!streamer) {
      const history = this.#histories.get(name) ?? new History();
      if (this.#histories.size < HISTORIES) this.#histories.set(name, history);
      const clips = this.clips.get(name) ?? 0;
      const trigger = this.triggers.find((trigger) => trigger.streamer === name) ?? null;
      streamer = { name, viewers: null, velocity: null, recording: null, clips, trigger, history };
      this.streamers.set(name, streamer);
      this.regrouped = true;
    }
    this.changed.add(streamer);
    return streamer;
  }

  #set(streamer, gauge, value, now) {
    streamer[gauge] = value;
    if (gauge === "viewers" && this.#histories.has(streamer.name)) streamer.history.add(now, value);
  }

  #clear(name, now) {
    this.streamers.get(name)?.history.add(now, null);
    this.regrouped = this.streamers.delete(name) || this.regrouped;
  }

  #recent(entries) {
    const known = new Map(this.triggers.map((trigger) => [key(trigger), trigger]));
    const recent = entries.map((entry) => known.get(key(entry)) ?? timed(entry));
    // A full list may lack older triggers that this page has. A list that is not full is complete.
    const from = recent.length < RECENT ? -Infinity : recent.at(-1).at;
    for (const streamer of this.streamers.values()) {
      if (streamer.trigger?.at >= from) streamer.trigger = null;
    }
    this.#keep([...recent, ...this.triggers.filter((trigger) => trigger.at < from)]);
  }

  #keep(triggers) {
    this.triggers = triggers.toSorted((a, b) => b.at - a.at).slice(0, KEPT);
    const oldestFirst = this.triggers.toReversed();
    for (const trigger of oldestFirst) {
      this.#histories.get(trigger.streamer)?.mark(trigger.at);
      const streamer = this.streamers.get(trigger.streamer);
      if (streamer) {
        streamer.trigger = trigger;
        this.changed.add(streamer);
      }
    }
  }
}

function timed(entry) {
  return { ...entry, at: Date.parse(entry.timestamp) };
}

function key({ streamer, type, timestamp }) {
  return JSON.stringify([streamer, type, timestamp]);
}
