"""scripts/check: what a change must pass besides the tests."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Final

from tooling import environment
from tooling.checkout import ROOT, say

CHECKS: Final = ("ruff check", "ruff format --check", "mypy", "bandit -q -r exporter")


def main() -> int:
    """Run every check, also after one that fails; return 0 if all pass, else 1."""
    description = f"Run {', '.join(CHECKS)}, as pyproject.toml configures them."
    argparse.ArgumentParser(prog="check", description=description).parse_args()
    environment.enter("dev")
    failed = [check for check in CHECKS if not _passes(check)]
    say(f"failed: {', '.join(failed)}" if failed else "all checks pass")
    return 1 if failed else 0


def _passes(check: str) -> bool:
    say(f"$ {check}")
    return subprocess.run([sys.executable, "-m", *check.split()], cwd=ROOT, check=False).returncode == 0
