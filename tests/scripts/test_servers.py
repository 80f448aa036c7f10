from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tooling import debian, servers
from tooling.checkout import ToolingError


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No program anywhere: not in the checkout, not on PATH, not in the environment."""
    monkeypatch.setattr(servers, "TOOLS", tmp_path / "tools")
    monkeypatch.setattr(debian, "TOOLS", tmp_path)
    monkeypatch.setattr(debian, "_STATE", tmp_path / "apt")
    debian._update.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    for program in servers.PROGRAMS.values():
        monkeypatch.delenv(program.variable, raising=False)


def program_at(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(sys.executable)
    return path


def failing_apt(tmp_path: Path, errors: dict[str, str]) -> None:
    """Put an apt-get on PATH whose commands in ``errors`` fail with that text, and a dpkg that is not reached."""
    cases = "".join(f"*' {command}'*) echo '{text}'; exit 100;;\n" for command, text in errors.items())
    apt = program_at(tmp_path / "path/dpkg").with_name("apt-get")
    apt.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}esac\n')
    apt.chmod(0o755)


def test_the_variable_goes_before_the_checkout_and_the_checkout_before_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert servers.find("prometheus") is None
    on_path = program_at(tmp_path / "path/prometheus")
    assert servers.find("prometheus") == on_path
    fetched = program_at(tmp_path / "tools/debian/prometheus/usr/bin/prometheus")
    assert servers.find("prometheus") == fetched
    chosen = program_at(tmp_path / "chosen")
    monkeypatch.setenv("CLIPPER_PROMETHEUS", str(chosen))
    assert servers.find("prometheus") == chosen


def test_a_choice_that_is_no_program_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program_at(tmp_path / "path/prometheus")
    monkeypatch.setenv("CLIPPER_PROMETHEUS", "/nowhere/prometheus")
    with pytest.raises(ToolingError) as refusal:
        servers.find("prometheus")
    assert str(refusal.value) == (
        "CLIPPER_PROMETHEUS: '/nowhere/prometheus' is not a program; set the path of prometheus, or unset it"
    )


def test_alertmanager_is_found_by_its_upstream_name(tmp_path: Path) -> None:
    on_path = program_at(tmp_path / "path/alertmanager")
    assert servers.find("prometheus-alertmanager") == on_path


def test_without_apt_the_error_says_how_to_get_it() -> None:
    with pytest.raises(ToolingError) as refusal:
        servers.fetch("prometheus")
    assert str(refusal.value) == (
        "there is no apt-get here to get Debian packages with\n"
        "to get prometheus: Debian: apt install prometheus; macOS: brew install prometheus; "
        "else https://prometheus.io/download/ (found on PATH, or where CLIPPER_PROMETHEUS says)"
    )


def test_a_failed_download_leaves_no_folder(tmp_path: Path) -> None:
    failing_apt(tmp_path, {"download": "E: Unable to locate package prometheus"})
    with pytest.raises(
        ToolingError, match=r"(?s)failed with status 100:.*Unable to locate package.*to get prometheus:"
    ):
        servers.fetch("prometheus")
    assert list((tmp_path / "tools/debian").iterdir()) == []


def test_lists_that_cannot_be_read_are_told_with_what_follows(tmp_path: Path) -> None:
    failing_apt(tmp_path, {"update": "E: Could not resolve host", "download": "E: Unable to locate"})
    with pytest.raises(ToolingError, match=r"(?s)update\n.*Could not resolve host.*download .*Unable to locate"):
        servers.fetch("amtool")


def test_a_release_without_the_pages_has_prometheus_alone(tmp_path: Path) -> None:
    apt = program_at(tmp_path / "path/dpkg").with_name("apt-get")
    apt.write_text('#!/bin/sh\ncase "$*" in *d3*) exit 100;; *download*) /usr/bin/touch prometheus.deb;; esac\n')
    apt.chmod(0o755)
    (tmp_path / "path/dpkg").unlink()
    (tmp_path / "path/dpkg").write_text(
        '#!/bin/sh\n/bin/mkdir -p "$3/usr/bin"; /usr/bin/install /bin/true "$3/usr/bin/prometheus"\n'
    )
    (tmp_path / "path/dpkg").chmod(0o755)
    assert servers.fetch("prometheus") == tmp_path / "tools/debian/prometheus/usr/bin/prometheus"


def test_only_an_unpacked_prometheus_is_told_where_its_pages_are(tmp_path: Path) -> None:
    tree = tmp_path / "tools/debian/prometheus/usr"
    (tree / "share/prometheus/web").mkdir(parents=True)
    assert servers.page_arguments(tree / "bin/prometheus") == [f"--web.local-assets={tree}/share/prometheus/web"]
    assert servers.page_arguments(Path("/usr/bin/prometheus")) == []


def test_only_an_unpacked_program_is_told_where_its_libraries_are(tmp_path: Path) -> None:
    tree = tmp_path / "tools/debian/chromium"
    (tree / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    told = servers.environment(tree / "usr/lib/chromium/chromium")
    assert told["PYTHONPATH"].startswith(f"{tree}/usr/lib/python3/dist-packages:")
    assert told["LD_LIBRARY_PATH"] == f"{tree}/usr/lib/x86_64-linux-gnu"
    assert f"<dir>{tree}/usr/share/fonts</dir>" in Path(told["FONTCONFIG_FILE"]).read_text()
    assert servers.environment(Path("/usr/bin/chromium")) == {}


def test_dependencies_that_are_missing_are_fetched_too(tmp_path: Path) -> None:
    """By an apt-get and a dpkg that are made up: every package that is downloaded is unpacked as a program."""
    apt = """case "$*" in
      *--simulate*) echo 'Inst libnss3 (2:3 Debian:12 [amd64])'; echo 'Inst chromium (1 x)'; echo 'Conf libx (1)';;
      *' download '*) shift 4; for package; do echo '#!/bin/sh' > "$package.deb"; done;;
    esac"""
    dpkg = '/bin/mkdir -p "$3/usr/lib/chromium"; /usr/bin/install "$2" "$3/usr/lib/chromium/"'
    for name, script in {"apt-get": apt, "dpkg": dpkg}.items():
        program_at(tmp_path / "path" / name).unlink()
        (tmp_path / "path" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "path" / name).chmod(0o755)
    debian.unpack(["chromium", "chromium-driver"], into=tmp_path / "tree", dependencies=True)
    unpacked = {file.name for file in (tmp_path / "tree/usr/lib/chromium").iterdir()}
    assert unpacked == {"chromium.deb", "chromium-driver.deb", "libnss3.deb"}
