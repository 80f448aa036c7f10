// The exporter's clock, seen from here: ages of its timestamps are right even where this machine's clock is not.

const TOLERATED = 2_000; // ms; the Date header counts whole seconds, so that less cannot be told apart

let ahead = 0;

/** Ask the exporter what time it is. Where that fails the clocks are taken for equal, or as far apart as before. */
export async function compareClocks() {
  const asked = Date.now();
  const response = await fetch("-/healthy", { method: "HEAD", cache: "no-store" }).catch(() => null);
  const theirs = Date.parse(response?.headers.get("Date")) + 500;
  const difference = theirs - (asked + Date.now()) / 2;
  if (Number.isFinite(difference)) ahead = Math.abs(difference) > TOLERATED ? difference : 0;
}

/** How long ago the exporter's Unix time `at` was; both in milliseconds. Never below 0. */
export function age(at) {
  return Math.max(0, Date.now() + ahead - at);
}
