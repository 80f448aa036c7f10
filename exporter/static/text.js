// Formats numbers, times and names.

const plain = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const precise = new Intl.NumberFormat(undefined, { maximumFractionDigits: 3 });
const large = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 2 });
const huge = new Intl.NumberFormat(undefined, { notation: "scientific", maximumFractionDigits: 2 });
const timeOfDay = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dateAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
];

/** Return a number as text, or a dash if it was never reported. */
export function number(value) {
  return value === null ? "–" : written(value, plain);
}

/** Return a number with decimals as text. */
export function precisely(value) {
  return written(value, precise);
}

function written(value, format) {
  // Without room, a number would be cut off and read as a smaller one.
  const fitting = Math.abs(value) < 1e7 ? format : Math.abs(value) < 1e15 ? large : huge;
  return fitting.format(value);
}

/** Return an age in milliseconds as text, in the largest unit that fits. */
export function ago(age) {
  const seconds = Math.floor(age / 1000);
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? [];
  return unit ? `${Math.floor(seconds / size)} ${unit} ago` : "just now";
}

/** Return the local time of day of a Unix time in milliseconds. */
export function time(at) {
  return timeOfDay.format(at);
}

/** Return the local date and time of a Unix time in milliseconds. */
export function date(at) {
  return dateAndTime.format(at);
}

/** Compare two names in natural order; never 0 for different names. */
export function compareNames(a, b) {
  return names.compare(a, b) || (a < b ? -1 : Number(a > b));
}

/** Return a name for the filter: in lower case, with equivalent characters normalized. */
export function folded(name) {
  return name.normalize("NFKC").toLowerCase();
}
