// Runs Grafana's own code on the answers of a Prometheus: reads tasks as JSON, writes results as JSON.
//
//   node evaluate.cjs FOLDER    with node_modules
//
// A task is {"kind": "table", "panel", "frames"}, {"kind": "annotations", "annotation", "frames"} or
// {"kind": "escape", "value", "variable"}; a frame is {"refId", "step", "labels", "times" (ms), "values"}, as the data
// source's backend answers, one per series.
"use strict";

const { createRequire } = require("module");
const Module = require("module");
const path = require("path");

const folder = path.resolve(process.argv[2]);
const fromModules = createRequire(path.join(folder, "package.json"));

const { JSDOM } = fromModules("jsdom");
const dom = new JSDOM("", { url: "http://localhost/" });
globalThis.window = dom.window;
globalThis.document = dom.window.document;
for (const name of ["localStorage", "Element", "HTMLElement", "Node", "MutationObserver"]) {
  globalThis[name] ??= dom.window[name];
}

// The data source's code is one package with its editors, which need a browser. None of them is called here. What stands in
// for them is true where a feature toggle is asked for: docker-compose.yml switches on the one that is.
const nothing = new Proxy(function () {}, { get: (_, name) => (name === Symbol.toPrimitive ? () => "" : nothing) });
const load = Module._load;
Module._load = function (request, parent, isMain) {
  if (request.startsWith("@grafana/runtime") || /components\//.test(request)) {
    return nothing;
  }
  return load.call(this, request, parent, isMain);
};

const data = fromModules("@grafana/data");
const { transformV2 } = require(path.join(folder, "node_modules/@grafana/prometheus/dist/cjs/result_transformer.cjs"));
const { PrometheusAnnotationSupport } = require(path.join(folder, "node_modules/@grafana/prometheus/dist/cjs/annotations.cjs"));
const { interpolateQueryExpr } = require(path.join(folder, "node_modules/@grafana/prometheus/dist/cjs/escaping.cjs"));
const { firstValueFrom } = fromModules("rxjs");

data.standardTransformersRegistry.setInit(() =>
  Object.values(data.standardTransformers)
    .filter((transformer, index, all) => all.findIndex((other) => other.id === transformer.id) === index)
    .map((transformer) => ({ id: transformer.id, name: transformer.name, transformation: async () => transformer })),
);

const toFrame = ({ refId, step, labels, times, values }) => ({
  refId,
  meta: { executedQueryString: `Expr: \nStep: ${step}` },
  fields: [
    { name: "Time", type: data.FieldType.time, config: {}, values: times },
    { name: "Value", type: data.FieldType.number, config: {}, labels, values },
  ],
  length: times.length,
});

async function table({ panel, frames }) {
  const request = { targets: panel.targets, app: data.CoreApp.Dashboard };
  const answer = transformV2({ data: frames.map(toFrame) }, request, {}).data;
  const shown = await firstValueFrom(data.transformDataFrame(panel.transformations ?? [], answer));
  return shown.map((frame) => {
    const names = frame.fields.map((field) => data.getFieldDisplayName(field, frame, shown));
    const rows = Array.from({ length: frame.length }, (_, row) => frame.fields.map((field) => field.values[row] ?? null));
    return { names, rows };
  });
}

async function annotations({ annotation, frames }) {
  const support = PrometheusAnnotationSupport({});
  const prepared = support.prepareAnnotation(structuredClone(annotation));
  if (!frames.length) {
    return { target: prepared.target, events: [] };
  }
  const events = await firstValueFrom(support.processEvents(prepared, frames.map(toFrame)));
  return {
    target: prepared.target,
    events: events.map(({ time, timeEnd, title, text, tags }) => ({ time, timeEnd, title, text, tags })),
  };
}

async function escape({ value, variable }) {
  return interpolateQueryExpr(value, variable);
}

async function main() {
  let input = "";
  for await (const chunk of process.stdin) {
    input += chunk;
  }
  const kinds = { table, annotations, escape };
  const results = [];
  for (const task of JSON.parse(input)) {
    results.push(await kinds[task.kind](task));
  }
  process.stdout.write(JSON.stringify(results));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
