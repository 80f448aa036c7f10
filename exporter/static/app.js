// The live page: receives events, and shows changes at most once per frame.

import { compareClocks } from "./clock.js";
import { Connection } from "./connection.js";
import { setText } from "./dom.js";
import { Model } from "./model.js";
import { State } from "./state.js";
import { Table } from "./table.js";
import { number } from "./text.js";
import { Triggers } from "./triggers.js";

const TICK = 1_000; // ms

const model = new Model();
const table = new Table(model, soon);
const triggers = new Triggers();
const filter = document.getElementById("filter");
const empty = document.getElementById("empty");
const totals = Object.fromEntries([...document.querySelectorAll("[data-total]")].map((each) => [each.dataset.total, each]));
let known = false; // true after the first snapshot
let frame = 0;

const connection = new Connection("api/stats", onEvent, onState);
const state = new State(connection);

filter.addEventListener("input", () => {
  const text = filter.value.trim();
  table.filter(text);
  triggers.filter(text);
  soon();
});
setInterval(tick, TICK);
connection.open();

function onEvent(name, data) {
  const now = Date.now();
  if (name === "snapshot") {
    known = true;
    model.snapshot(data, now);
  } else {
    triggers.announce(model.update(data, now));
  }
  if (model.regrouped) entitle(); // here, because a page in the background gets no frames
  soon();
}

function onState() {
  if (connection.state === "live") compareClocks();
  else model.lose(connection.since);
  state.render(Date.now());
  entitle();
}

function tick() {
  const now = Date.now();
  model.prune(now);
  state.render(now);
  if (document.hidden) return;
  table.tick(now);
  triggers.tick();
  soon();
}

function soon() {
  frame ||= requestAnimationFrame(render);
}

function render() {
  frame = 0;
  const now = Date.now();
  table.render(model.changed, model.regrouped, now);
  triggers.render(model.triggers);
  if (model.changed.size || model.regrouped) count();
  model.changed.clear();
  model.regrouped = false;
}

function count() {
  const streamers = [...model.streamers.values()];
  const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);
  const counted = {
    streamers: streamers.length,
    viewers: sum(streamers.map(({ viewers }) => viewers)),
    velocity: sum(streamers.map(({ velocity }) => velocity)),
    recording: streamers.filter(({ recording }) => recording).length,
    clips: sum([...model.clips.values()]),
  };
  for (const [name, value] of Object.entries(counted)) setText(totals[name], known ? number(value) : "–");
  empty.hidden = !known || streamers.length > 0;
}

/** Set the title, visible in the background too: the number of streamers, or that the connection is lost. */
function entitle() {
  const streamers = connection.state === "lost" ? "connection lost" : known ? number(model.streamers.size) : "";
  document.title = `${streamers && `(${streamers}) `}Clipper exporter`;
}
