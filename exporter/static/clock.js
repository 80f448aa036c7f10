// The exporter's clock, so that ages of its timestamps are right even if this machine's clock is wrong.

const TOLERATED = 2_000; // ms; the Date header has whole seconds, so smaller differences are noise

let ahead = 0;

/** Ask the exporter for its time. If that fails, keep the last known difference of the clocks (at first 0). */
export async function compareClocks() {
  const asked = Date.now();
  const response = await fetch("-/healthy", { method: "HEAD", cache: "no-store" }).catch(() => null);
  const theirs = Date.parse(response?.headers.get("Date")) + 500;
  const difference = theirs - (asked + Date.now()) / 2;
  if (Number.isFinite(difference)) ahead = Math.abs(difference) > TOLERATED ? difference : 0;
}

/** Return the age of the exporter's Unix time `at`, both in milliseconds; never below 0. */
export function age(at) {
  return Math.max(0, Date.now() + ahead - at);
}
