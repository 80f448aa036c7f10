// A streamer's viewers over the last minutes, as received by this page.

export const WINDOW = 600_000; // ms
const BUCKET = 5_000; // ms per point, which has the newest value

export class History {
  points = []; // [Unix time in ms, viewers; null from when they are unknown], oldest first
  marks = []; // Unix times of triggers in ms, by the exporter's clock

  /** Record the viewers at a time not before the last one. */
  add(at, viewers) {
    const last = this.points.at(-1);
    if (last && last[1] !== null && viewers !== null && Math.floor(last[0] / BUCKET) === Math.floor(at / BUCKET)) {
      last[1] = viewers;
    } else if (last?.[1] !== null || viewers !== null) {
      this.points.push([at, viewers]);
    }
    // Keep one older point: its value applies until the next.
    while (this.points.length > 1 && this.points[1][0] < at - WINDOW) this.points.shift();
  }

  /** Record a trigger; the same trigger again changes nothing. */
  mark(at) {
    if (!this.marks.includes(at)) this.marks.push(at);
    if (this.marks.length > 50) this.marks.shift();
  }

  /** Return whether there is nothing to draw. */
  over(now) {
    const last = this.points.at(-1);
    return !last || (last[1] === null && last[0] < now - WINDOW);
  }
}
