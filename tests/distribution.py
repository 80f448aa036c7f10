"""Which tests one process runs, where several run at once: those of a file, unless said here."""

from __future__ import annotations

# Files whose tests need nothing of each other, and mostly wait.
APART = frozenset(
    {
        "benchmarks/tests/test_soak.py",
        "tests/alerts/test_rules.py",
        "tests/integration/test_crash.py",
        "tests/integration/test_demo.py",
        "tests/integration/test_messages.py",
        "tests/integration/test_remote.py",
    }
)
# Files whose tests share the fixture ``shared_prometheus``.
SHARED = frozenset(
    {
        "tests/integration/test_hostile_names.py",
        "tests/integration/test_prometheus.py",
        "tests/integration/test_replay.py",
        "tests/integration/test_scraping.py",
        "tests/packaging/test_compose.py",
    }
)
DASHBOARDS = "tests/dashboards/"


def group(test: str) -> str:
    """Return the group of the test with the id ``test``; the tests of a group run in one process."""
    file = test.partition("::")[0]
    if file in APART:
        return test
    if file in SHARED:
        return "shared_prometheus"
    if file.startswith(DASHBOARDS):
        # Those of the fixture ``day``, whose parameter is in the id, and those of the fixture ``minute``.
        return next((f"day of {hours} hours" for hours in (6, 24) if f"[{hours} hours" in test), "minute")
    return file
