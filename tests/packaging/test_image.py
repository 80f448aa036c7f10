"""The image's build steps, run line by line in clean virtual environments, with only what the build context holds."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tooling.checkout import ROOT
from tooling.processes import Process, Server, free_port

DOCKERFILE = ROOT / "Dockerfile"
STAGE = re.compile(r"^FROM (?P<image>\S+)(?: AS (?P<name>\w+))?$")


def instructions() -> list[tuple[str, str]]:
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line and not line.startswith("#")]


def context(folder: Path) -> Path:
    """Copy what .dockerignore lets through, as the build would get it."""
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in patterns, "everything else is left out"
    for pattern in patterns:
        if pattern.startswith("!"):
            source, target = ROOT / pattern[1:], folder / pattern[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
            else:
                shutil.copy(source, target)
    return folder


def run(command: str, folder: Path, python: Path, environment: dict[str, str]) -> None:
    """Run a RUN line with the ``python`` of a clean environment."""
    path = f"{python.parent}:{os.environ['PATH']}"
    variables = {**os.environ, **environment, "PATH": path}
    finished = subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, f"{command}\n{finished.stdout}{finished.stderr}"


def test_the_base_is_pinned_and_the_exporter_is_not_root() -> None:
    images = [match["image"] for line in DOCKERFILE.read_text().splitlines() if (match := STAGE.match(line))]
    assert len(set(images)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-bookworm", images[0])
    users = [argument for name, argument in instructions() if name == "USER"]
    assert users == ["10001:10001"]
    for name, command in instructions():
        if name == "RUN":
            known = {"--require-hashes", "--no-index", "wheel"} & set(command.split())
            assert known or command.startswith("install -d "), "nothing comes without a hash"


def test_the_context_is_small(tmp_path: Path) -> None:
    size = sum(file.stat().st_size for file in context(tmp_path).rglob("*") if file.is_file())
    assert size < 2_000_000


@pytest.mark.integration
@pytest.mark.heavy
def test_the_build_runs_line_by_line_and_its_result_is_healthy(tmp_path: Path) -> None:
    source = context(tmp_path / "context")
    stages: dict[str, Path] = {}
    environment: dict[str, str] = {}
    folder = python = tmp_path
    name = ""
    entrypoint = ""
    health: list[str] = []
    for instruction, argument in instructions():
        if instruction == "FROM":
            name = argument.partition(" AS ")[2] or "final"
            folder = stages[name] = tmp_path / name
            folder.mkdir()
            home = tmp_path / f"{name}-venv"
            venv.create(home, with_pip=False)
            subprocess.run(
                [sys.executable, "-m", "pip", "--python", str(home / "bin/python"), "install", "-q", "pip"], check=True
            )
            python, environment = home / "bin/python", {}
        elif instruction == "ENV":
            environment |= dict(pair.split("=", 1) for pair in shlex.split(argument))
        elif instruction == "COPY":
            copy(argument, source, stages, folder)
        elif instruction == "RUN" and argument.startswith("install -d "):
            # In the stage's folder instead of the root; only root may give a folder to another user.
            mine = argument if os.geteuid() == 0 else re.sub(r" -[og] \d+", "", argument)
            run(mine.replace(" /", f" {folder}/"), folder, python, environment)
        elif instruction == "RUN":
            run(argument, folder, python, environment)
        elif instruction == "HEALTHCHECK":
            health = json.loads(argument.partition("CMD ")[2])
        elif instruction == "ENTRYPOINT":
            entrypoint = argument.strip('[]"')
    port = free_port()
    variables = {**environment, "CLIPPER_EXPORTER_WEB_LISTEN_ADDRESS": f"127.0.0.1:{port}"}
    server = Server(
        "the image's exporter", [str(python.parent / entrypoint), "demo"], f"http://127.0.0.1:{port}/-/ready", variables
    )
    with Process(server, tmp_path / "log") as process:
        process.wait_until_ready()
        check = [str(python.parent / health[0]), *health[1:]]
        assert subprocess.run(check, env=os.environ | variables, check=False).returncode == 0
    assert subprocess.run(check, env=os.environ | variables, check=False, capture_output=True).returncode == 1
    whole = subprocess.run([python, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert whole.returncode == 0, f"docker/requirements.txt lacks what pyproject.toml asks for: {whole.stdout}"
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert "clipper-exporter" in listed
    assert "hatchling" not in listed, "what builds is not in the image"
    installed = list((python.parents[1] / "lib").glob("python3*/site-packages/exporter/dashboards/*.json"))
    assert len(installed) == 3


def copy(argument: str, source: Path, stages: dict[str, Path], folder: Path) -> None:
    if argument.startswith("--from="):
        stage, argument = argument.removeprefix("--from=").split(" ", 1)
        source, argument = stages[stage], argument.replace("/src/", "")
    *names, target = argument.split()
    for name in names:
        place = folder / target / Path(name).name if target.endswith("/") else folder / target
        place.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, place)
        else:
            shutil.copy(source / name, place)
