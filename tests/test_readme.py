"""README.md and docs/ tell the truth. ``pytest --update-golden`` rewrites their tables."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import exporter
from exporter import SharedStats, serve
from exporter.metrics import FAMILIES, STORE_FAMILIES, Family
from exporter.settings.settings import options

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted(
    page for glob in ("*.md", "docs/*.md", "alerts/*.md", "dashboards/generated/*.md") for page in ROOT.glob(glob)
)


def metric_table(families: Iterable[Family]) -> str:
    lines = ["| family | type | labels | meaning |", "|---|---|---|---|"]
    for family in families:
        labels = ", ".join(f"`{label}`" for label in family.labels)
        lines.append(f"| `{family.name}` | {family.type} | {labels} | {family.help.rstrip('.')} |")
    return "\n".join(lines)


def flag_table() -> str:
    lines = ["| flag | default | meaning |", "|---|---|---|"]
    for option in options().values():
        meaning = option.help.rstrip(".") + (" (`demo` only)" if option.part == "demo" else "")
        default = f"`{option.default}`" if option.default else "none"
        lines.append(f"| `{option.flag}` | {default} | {meaning} |")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("page", "name", "table"),
    [
        ("README.md", "clipper", lambda: metric_table(STORE_FAMILIES)),
        ("docs/metrics.md", "metric", lambda: metric_table(FAMILIES)),
        ("docs/command.md", "flag", flag_table),
    ],
    ids=["clipper", "metric", "flag"],
)
def test_a_table_is_what_the_code_says(
    page: str, name: str, table: Callable[[], str], pytestconfig: pytest.Config
) -> None:
    begin, end = (f"<!-- {edge} {name} table -->\n" for edge in ("begin", "end"))
    text = (ROOT / page).read_text(encoding="utf-8")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    wanted = f"{before}{begin}\n{table()}\n\n{end}{after}"
    if pytestconfig.getoption("--update-golden"):
        (ROOT / page).write_text(wanted, encoding="utf-8")
        text = wanted
    assert text == wanted, "if the change is meant, run with --update-golden"


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The fragments that lead to the headings of a page, as GitHub makes them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def test_anchors_are_githubs(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Who may push?\n```sh\n# none\n```\n## `health`, a_b\n### Twice\n### Twice\n## [In](x.md) a-b\n")
    assert anchors(page) == {"who-may-push", "health-a_b", "twice", "twice-1", "in-a-b"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_its_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if fragment:
            assert fragment in anchors(target), link


def test_the_readme_leads_to_every_page() -> None:
    links = set(re.findall(r"\]\((docs/[\w-]+\.md)", prose(README)))
    assert links == {str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md")}


def test_the_readme_is_short() -> None:
    _, _, rest = README.read_text(encoding="utf-8").partition("<!-- begin clipper table -->")
    table, _, _ = rest.partition("<!-- end clipper table -->")
    assert len(README.read_text(encoding="utf-8").splitlines()) - len(table.splitlines()) <= 120


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


SNIPPETS = [
    pytest.param(code, id=f"{page.name}-{at}")
    for page in PAGES
    if page != README
    for at, code in enumerate(blocks(page))
]


@pytest.mark.parametrize("code", SNIPPETS)
def test_its_python_runs(code: str) -> None:
    # A free port, because the usual one may be taken where the tests run; and an exporter for those who push.
    code = code.replace("exporter.serve()", "exporter.serve(port=0)")
    with serve(0, stats=SharedStats.create(), registry=CollectorRegistry()) as server:
        code = code.replace('"http://127.0.0.1:9309"', f'"{server.url}"')
        run(code)


def run(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, ""), code


def test_the_readmes_script_shows_something_and_stays(tmp_path: Path) -> None:
    [code] = blocks(README)
    assert code.count("exporter.serve()") == 1
    script = tmp_path / "clipper.py"
    script.write_text(code.replace("exporter.serve()", "print(exporter.serve(port=0).url, flush=True)"))
    command = [sys.executable, "-W", "error", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            stats = stats_with_a_trigger(url)
            assert stats["viewer_counts"].keys() == {"xQc"}
            assert stats["recent_triggers"][0]["details"] == {"spike": 15000}
            assert process.poll() is None
        finally:
            process.kill()


def stats_with_a_trigger(url: str) -> Any:
    deadline = time.monotonic() + 30
    while True:
        with urllib.request.urlopen(f"{url}/api/stats", timeout=10) as answer:
            stats = json.load(answer)
        if stats["recent_triggers"]:
            return stats
        assert time.monotonic() < deadline, stats
        time.sleep(0.05)


def test_the_changelog_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^]]+)\]", text, re.MULTILINE)
    assert versions[0] in {"Unreleased", exporter.__version__}
