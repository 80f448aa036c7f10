"""The README tells the truth. ``pytest --update-golden`` writes its tables anew."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import exporter
from exporter.metrics import FAMILIES
from exporter.settings.settings import options

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def metric_table() -> str:
    lines = ["| family | type | labels | meaning |", "|---|---|---|---|"]
    for family in FAMILIES:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        lines.append(f"| `{family.name}` | {family.type} | {labels} | {family.help.rstrip('.')} |")
    return "\n".join(lines)


def flag_table() -> str:
    lines = ["| flag | default | meaning |", "|---|---|---|"]
    for option in options().values():
        meaning = option.help.rstrip(".") + (" (`demo` only)" if option.demo_only else "")
        default = f"`{option.default}`" if option.default else "none"
        lines.append(f"| `{option.flag}` | {default} | {meaning} |")
    return "\n".join(lines)


@pytest.mark.parametrize(("name", "table"), [("metric", metric_table), ("flag", flag_table)])
def test_a_table_is_what_the_code_says(name: str, table: Callable[[], str], pytestconfig: pytest.Config) -> None:
    begin, end = (f"<!-- {edge} {name} table -->\n" for edge in ("begin", "end"))
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    wanted = f"{before}{begin}\n{table()}\n\n{end}{after}"
    if pytestconfig.getoption("--update-golden"):
        README.write_text(wanted, encoding="utf-8")
        text = wanted
    assert text == wanted, "if the change is meant, run with --update-golden"


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", README.read_text(encoding="utf-8")):
        link = "".join(target)
        if "://" not in link:
            assert (ROOT / link).exists(), link


def test_its_python_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        # A free port, for the usual one may be taken where the tests run.
        code = block.replace("exporter.serve()", "exporter.serve(port=0)")
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=ROOT,
        )
        assert (done.returncode, done.stderr) == (0, ""), block


def test_the_changelog_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^]]+)\]", text, re.MULTILINE)
    assert versions[0] in {"Unreleased", exporter.__version__}
