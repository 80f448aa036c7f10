"""``python -m benchmarks NAME [ARGUMENT ...]`` runs one measurement."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

BENCHMARKS = {
    "crash": "triggers posted while the exporter is killed again and again: what is lost, or counted twice",
    "exposition": "updates and scrapes, side by side with prometheus_client",
    "farm": "a real Prometheus that scrapes every second, while threads write as fast as they can",
    "push": "from update_viewers to a client's callback, and what 500 clients cost the writer",
    "soak": "ten minutes of everything at once: streamers and live clients come and go, and garbage arrives",
    "raids": "how fast the alert rules catch raids on recorded streams, and what they raise without one",
    "storage": "what keeping counters on disk costs a clipper, and how soon they are there",
}


def main(arguments: list[str]) -> int:
    """Run the named benchmark's ``main``; the exit status is 2 for a name there is none of."""
    if arguments and arguments[0] in BENCHMARKS:
        status: int = import_module(f"benchmarks.{arguments[0]}").main(arguments[1:])
        return status
    listing = "".join(f"  {name:10}{purpose}\n" for name, purpose in BENCHMARKS.items())
    asked = bool({"-h", "--help"} & set(arguments))
    print(
        f"usage: python -m benchmarks NAME [ARGUMENT ...]\n\n{listing}",
        end="",
        file=sys.stdout if asked else sys.stderr,
    )
    return 0 if asked else 2


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1] / "scripts"))  # has what finds promtool
    sys.exit(main(sys.argv[1:]))
