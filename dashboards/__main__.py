"""``python -m dashboards generate`` writes the dashboards as JSON; ``check`` lists the files that are outdated."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dashboards import exporter_health, frame, overview, streamer

GENERATED: Final = Path(__file__).parent / "generated"
DASHBOARDS: Final = {
    frame.OVERVIEW: overview.dashboard,
    frame.STREAMER_UID: streamer.dashboard,
    frame.HEALTH: exporter_health.dashboard,
}


def encoded() -> dict[str, str]:
    """Return the text of every file by its name; deterministic."""
    documents = {uid: make() for uid, make in DASHBOARDS.items()}
    return {f"{uid}.json": _text(document) for uid, document in documents.items()} | {
        "PANELS.md": panel_list(documents.values())
    }


def panel_list(documents: Iterable[Mapping[str, Any]]) -> str:
    """Return every panel and its purpose, as tables in Markdown."""
    lines = ["# Panels", "", "Written by `python -m dashboards generate`.", ""]
    for document in documents:
        lines += [
            f"## {document['title']}",
            "",
            document["description"],
            "",
            "| panel | kind | purpose |",
            "|---|---|---|",
        ]
        lines += [f"| {panel['title']} | {panel['type']} | {panel['description']} |" for panel in document["panels"]]
        lines.append("")
    return "\n".join(lines)


def generate(folder: Path) -> list[str]:
    """Write the files into ``folder``, remove JSON that is no longer a dashboard, and return what changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = differences(folder)
    for name, text in encoded().items():
        (folder / name).write_text(text, encoding="utf-8")
    for stray in _strays(folder):
        stray.unlink()
    return changed


def differences(folder: Path) -> list[str]:
    """Return a line for every file in ``folder`` that differs from what the code generates."""
    found = []
    for name, text in encoded().items():
        file = folder / name
        if not file.exists():
            found.append(f"{file}: missing")
        elif file.read_text(encoding="utf-8") != text:
            found.append(f"{file}: differs from what the code makes")
    return found + [f"{stray}: no dashboard of the code" for stray in _strays(folder)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 1 if ``check`` found a difference."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("command", choices=["generate", "check"])
    parser.add_argument("--folder", type=Path, default=GENERATED, help="where the files are (default: %(default)s)")
    given = parser.parse_args(arguments)
    if given.command == "generate":
        for line in generate(given.folder):
            print(f"written; before: {line}")
        return 0
    found = differences(given.folder)
    for line in found:
        print(line, file=sys.stderr)
    if found:
        print("run: python -m dashboards generate", file=sys.stderr)
    return 1 if found else 0


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _strays(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.json") if file.name not in encoded())


if __name__ == "__main__":
    sys.exit(main())
