"""Imports between the rooms of the package lead one way: from the web down to the store, never up."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.arrows import imports, wrong_arrows
from tooling.checkout import ROOT

GROUND = {
    "_version": set[str](),
    "errors": set[str](),
    "logs": set[str](),
    "metrics": set[str](),
    "own_metrics": {"metrics"},
}
ON_THE_GROUND = set(GROUND)
ROOMS = {
    "store": set[str](),
    "settings": {"store"},
    "scrape": {"store"},
    "live": {"store"},
    "storage": {"store"},
    "feeds": {"store"},
    "security": set[str](),
    "pusher": {"store", "settings"},
    "web": {"store", "settings", "scrape", "live", "storage", "security"},
}
DOORS = {"": set(ROOMS), "cli": set(ROOMS), "__main__": {"cli"}}
"""What puts the rooms together: the public face and the command line."""
ALLOWED = GROUND | {name: arrows | ON_THE_GROUND for name, arrows in (ROOMS | DOORS).items()}


def test_no_arrow_leads_up() -> None:
    wrong = wrong_arrows(ROOT, "exporter", ALLOWED)
    assert not wrong, "\n".join(["imports against the plan:", *wrong])


def test_the_plan_has_no_circle() -> None:
    left = {name: arrows & ALLOWED.keys() for name, arrows in ALLOWED.items()}
    while left:
        lowest = {name for name, arrows in left.items() if not arrows & left.keys()}
        assert lowest, f"these import each other in a circle: {sorted(left)}"
        left = {name: arrows for name, arrows in left.items() if name not in lowest}


def test_every_room_says_what_it_does() -> None:
    for room in ROOMS:
        told = ast.get_docstring(ast.parse((ROOT / "exporter" / room / "__init__.py").read_text(encoding="utf-8")))
        assert told is not None, room
        assert told.partition("\n")[0].endswith("."), room


def test_an_arrow_that_leads_up_is_found_wherever_it_is(tmp_path: Path) -> None:
    files = {
        "house/__init__.py": "from house.roof import chimney\n",
        "house/roof/__init__.py": "",
        "house/roof/chimney.py": "import json\nfrom house.cellar import coal\nimport house.cellar\n",
        "house/cellar/__init__.py": "from . import coal\n",
        "house/cellar/coal.py": (
            "def burn():\n    from house.roof import chimney\n\n\n"
            "import house.roof.chimney as c\nfrom house import roof, smoke\nfrom ..roof.chimney import x\n"
        ),
        "house/shed.py": "from house import cellar\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    allowed = {"": {"roof"}, "roof": {"cellar"}, "cellar": set[str]()}
    coal = "house/cellar/coal.py"
    assert sorted(wrong_arrows(tmp_path, "house", allowed)) == [
        f"{coal}:2 imports house.roof.chimney",
        f"{coal}:5 imports house.roof.chimney",
        f"{coal}:6 imports house",
        f"{coal}:6 imports house.roof",
        f"{coal}:7 imports house.roof.chimney",
        "house/shed.py:1 imports house.cellar: 'shed' is no room of the plan",
    ]


@pytest.mark.parametrize(("folder", "other"), [("tests", "benchmarks"), ("benchmarks", "tests")])
def test_tests_and_benchmarks_do_not_import_each_other(folder: str, other: str) -> None:
    """What both need is in ``scripts/tooling``; the tests of benchmarks are in ``benchmarks/tests``."""
    found = list(imports(ROOT, folder))
    assert len(found) > 50
    assert [str(each) for each in found if each.module.partition(".")[0] == other] == []
