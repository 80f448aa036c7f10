// How numbers, times and names are written.

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

/** A number, or a dash for one that was never reported. */
export function number(value) {
  return value === null ? "–" : written(value, plain);
}

/** A number whose decimals matter. */
export function precisely(value) {
  return written(value, precise);
}

function written(value, format) {
  // What has no room would be cut, and read as a smaller number.
  const fitting = Math.abs(value) < 1e7 ? format : Math.abs(value) < 1e15 ? large : huge;
  return fitting.format(value);
}

/** How long ago, in the largest unit that fits; `age` is in milliseconds. */
export function ago(age) {
  const seconds = Math.floor(age / 1000);
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? [];
  return unit ? `${Math.floor(seconds / size)} ${unit} ago` : "just now";
}

/** The time of day of Unix time in milliseconds, where the person is. */
export function time(at) {
  return timeOfDay.format(at);
}

/** The date and time of day of Unix time in milliseconds, where the person is. */
export function date(at) {
  return dateAndTime.format(at);
}

/** The order of two names for a person; never 0 for two that differ. */
export function compareNames(a, b) {
  return names.compare(a, b) || (a < b ? -1 : Number(a > b));
}

/** A name as the filter compares it: without case, and with characters that look alike made one. */
export function folded(name) {
  return name.normalize("NFKC").toLowerCase();
}
