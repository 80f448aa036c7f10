// Draws a history of viewers as a sparkline.

import { age } from "./clock.js";
import { WINDOW } from "./history.js";

const WIDTH = 120;
const HEIGHT = 28;
const MARGIN = 2; // above and below the line
const LEAST_SPAN = 0.1; // of the value; with a smaller span, noise would look like an event

/** Draw `history` into an SVG element's paths `mark`, `area` and `line`; the right edge is now. */
export function draw(svg, history, now) {
  const [mark, area, line] = svg.children;
  const runs = runsOf(history.points, now);
  const y = scale(runs.flat().map(([, viewers]) => viewers));
  const lines = runs.map((run) => run.map(([at, viewers]) => `${x(now - at)} ${y(viewers)}`));
  line.setAttribute("d", lines.map((points) => `M${points.join("L")}`).join(""));
  area.setAttribute("d", lines.map(filled).join(""));
  const marks = history.marks.map(age).filter((each) => each < WINDOW);
  mark.setAttribute("d", marks.map((each) => `M${x(each)} 0V${HEIGHT}`).join(""));
}

function x(before) {
  return (WIDTH * Math.min(1, Math.max(0, 1 - before / WINDOW))).toFixed(1);
}

/** Return the points in runs without gaps; each value applies until the next point, the last until now. */
function runsOf(points, now) {
  const runs = [];
  let run = null;
  for (const [at, viewers] of points) {
    if (run) run.push([at, viewers ?? run.at(-1)[1]]);
    else if (viewers !== null) runs.push((run = [[at, viewers]]));
    if (viewers === null) run = null;
  }
  run?.push([now, run.at(-1)[1]]);
  // Runs that ended before the window are on its left edge.
  return runs.filter((each) => each.at(-1)[0] > now - WINDOW);
}

function scale(values) {
  const highest = Math.max(...values);
  const lowest = Math.min(...values);
  const span = Math.max(highest - lowest, LEAST_SPAN * highest, 1);
  const bottom = Math.max(0, (highest + lowest - span) / 2);
  return (value) => (HEIGHT - MARGIN - ((HEIGHT - 2 * MARGIN) * (value - bottom)) / span).toFixed(1);
}

function filled(points) {
  const [first, last] = [points[0], points.at(-1)].map((point) => point.split(" ")[0]);
  return `M${first} ${HEIGHT}L${points.join("L")}L${last} ${HEIGHT}Z`;
}
