from __future__ import annotations

import os
import sys

import pytest
import yaml

from tooling import environment, node, run_tests, servers
from tooling.checkout import ROOT

WORKFLOWS = ROOT / ".github/workflows"


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ([], False),
        (["-x", "--durations=10"], False),
        (["tests/integration"], False),
        (["-k", "viewers"], True),
        (["-kviewers"], True),
        (["tests/test_cli.py"], True),
        (["tests/test_cli.py::test_help"], True),
        (["-n", "8"], True),
        (["-n0"], True),
        (["--pdb"], True),
    ],
)
def test_tests_that_are_chosen_run_in_one_process(arguments: list[str], chosen: bool) -> None:
    assert run_tests.chooses(arguments) is chosen


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-q"], ["-n", "4", "--no-loadscope-reorder", "-q"]),
        (["--all"], ["-n", "4", "--no-loadscope-reorder", "-m", "", "--hypothesis-profile=long"]),
        (["--all", "-k", "soak"], ["-m", "", "--hypothesis-profile=long", "-k", "soak"]),
        (["-m", "heavy"], ["-n", "4", "--no-loadscope-reorder", "-m", "heavy"]),
    ],
)
def test_pytest_gets_these_arguments(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: list[str]
) -> None:
    entered: list[str] = []
    started: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["test", *arguments])
    monkeypatch.setattr(environment, "enter", entered.append)
    monkeypatch.setattr(servers, "fetch", str)
    monkeypatch.setattr(node.Packages, "fetch", str)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command))
    monkeypatch.chdir(ROOT)
    run_tests.main()
    assert entered == ["dev"]
    assert started == [[sys.executable, "-m", "pytest", *expected]]


@pytest.mark.parametrize(("name", "command"), [("tests.yml", ".ci/run"), ("nightly.yml", ".ci/run --all")])
def test_the_workflows_run_what_developers_run(name: str, command: str) -> None:
    [job] = yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8"))["jobs"].values()
    assert command in [step.get("run") for step in job["steps"]]
    assert (ROOT / ".ci/run").stat().st_mode & 0o100
