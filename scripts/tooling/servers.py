"""Where the programs are that the demo and the integration tests run: found, or fetched from Debian.

A program is looked for in an environment variable of its own, in ``.tools/`` of the checkout, and on ``PATH``, in this
order.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tooling import debian
from tooling.checkout import TOOLS, ToolingError


@dataclass(frozen=True, slots=True)
class Program:
    """A program and the ways to get it.

    ``packages`` are Debian's: the one with the program, then what it needs to run and a small Debian lacks; with
    ``dependencies``, apt says what else it needs. All are unpacked into one tree, in which ``path`` is the program.
    ``by_hand`` says how a person gets it elsewhere.
    """

    name: str
    variable: str
    packages: tuple[str, ...]
    path: str
    by_hand: str
    dependencies: bool = False


# Debian's Prometheus serves its pages from files that link to these. Without them its API works and its pages do not.
_PROMETHEUS = (
    "prometheus",
    "fonts-glyphicons-halflings",
    "libjs-bootstrap4",
    "libjs-d3",
    "libjs-eonasdan-bootstrap-datetimepicker",
    "libjs-jquery",
    "libjs-jquery-hotkeys",
    "libjs-moment",
    "libjs-moment-timezone",
    "libjs-mustache",
    "libjs-popper.js",
    "libjs-rickshaw",
    "node-jquery",
)
_PROMETHEUS_BY_HAND = (
    "Debian: apt install prometheus; macOS: brew install prometheus; else https://prometheus.io/download/"
)
# Both in one tree, for they must be of the same version.
_CHROMIUM = ("chromium", "chromium-driver")
_CHROMIUM_BY_HAND = "Debian: apt install chromium chromium-driver; macOS: brew install --cask chromium chromedriver"
_ALERTMANAGER_BY_HAND = "Debian: apt install prometheus-alertmanager; macOS: brew install alertmanager; else https://prometheus.io/download/"

PROGRAMS: Final = {
    program.name: program
    for program in (
        Program("prometheus", "CLIPPER_PROMETHEUS", _PROMETHEUS, "usr/bin/prometheus", _PROMETHEUS_BY_HAND),
        Program("promtool", "CLIPPER_PROMTOOL", _PROMETHEUS, "usr/bin/promtool", _PROMETHEUS_BY_HAND),
        Program(
            "prometheus-alertmanager",
            "CLIPPER_ALERTMANAGER",
            ("prometheus-alertmanager",),
            "usr/bin/prometheus-alertmanager",
            _ALERTMANAGER_BY_HAND,
        ),
        Program("amtool", "CLIPPER_AMTOOL", ("prometheus-alertmanager",), "usr/bin/amtool", _ALERTMANAGER_BY_HAND),
        Program("chromium", "CLIPPER_CHROMIUM", _CHROMIUM, "usr/lib/chromium/chromium", _CHROMIUM_BY_HAND, True),
        Program("chromedriver", "CLIPPER_CHROMEDRIVER", _CHROMIUM, "usr/bin/chromedriver", _CHROMIUM_BY_HAND, True),
    )
}
# Where a program goes by another name than Debian's.
_ALIASES: Final = {
    "prometheus-alertmanager": ("alertmanager",),
    "chromium": ("chromium-browser", "google-chrome"),
}
_LIBRARIES: Final = ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib/*-linux-gnu*/pulseaudio")
# What an unpacked program finds its fonts by: without it, a browser on a Debian that has none ends at once.
_FONTS: Final = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>{tree}/usr/share/fonts</dir><cachedir>{tree}/var/cache</cachedir></fontconfig>
"""


def find(name: str) -> Path | None:
    """Return where the program ``name`` is, or ``None``.

    Raises ``ToolingError`` if its environment variable names something that is not a program: a choice that was made is
    not silently replaced by another.
    """
    program = PROGRAMS[name]
    if chosen := os.environ.get(program.variable):
        path = shutil.which(chosen)
        if path is None:
            raise ToolingError(
                f"{program.variable}: expected the path of {name}, got {chosen!r}, which is not a program"
            )
        return Path(path).absolute()
    fetched = _tree(program) / program.path
    if os.access(fetched, os.X_OK):
        return fetched
    for known_as in (name, *_ALIASES.get(name, ())):
        if (path := shutil.which(known_as)) is not None:
            return Path(path).absolute()
    return None


def fetch(name: str) -> Path:
    """Return where the program ``name`` is; get it from Debian into ``.tools/`` if it is nowhere yet.

    Raises ``ToolingError`` that says why it could not be had and how to get it by hand.
    """
    found = find(name)
    if found is not None:
        return found
    program = PROGRAMS[name]
    try:
        _unpack(program)
    except ToolingError as error:
        raise ToolingError(f"{error}\n{how_to_get(name)}") from error
    path = _tree(program) / program.path
    if not os.access(path, os.X_OK):
        raise ToolingError(f"Debian's package {program.packages[0]} holds no {program.path}\n{how_to_get(name)}")
    return path


def how_to_get(name: str) -> str:
    """Return one line for a person: how to get the program ``name``."""
    program = PROGRAMS[name]
    return f"to get {name}: {program.by_hand} (found on PATH, or where {program.variable} says)"


def page_arguments(prometheus: Path) -> list[str]:
    """Return the flags that let an unpacked Debian Prometheus find the files of its pages; none for any other build."""
    pages = prometheus.parents[1] / "share/prometheus/web"
    unpacked = prometheus.is_relative_to(TOOLS) and pages.is_dir()
    return [f"--web.local-assets={pages}"] if unpacked else []


def environment(program: Path) -> dict[str, str]:
    """Return the variables that let an unpacked Debian program find its libraries and fonts; none for any other."""
    if not program.is_relative_to(TOOLS / "debian"):
        return {}
    tree = TOOLS / "debian" / program.relative_to(TOOLS / "debian").parts[0]
    fonts = tree / "fonts.conf"
    fonts.write_text(_FONTS.format(tree=tree), encoding="utf-8")
    libraries = [str(folder) for pattern in _LIBRARIES for folder in sorted(tree.glob(pattern))]
    return {"LD_LIBRARY_PATH": os.pathsep.join(libraries), "FONTCONFIG_FILE": str(fonts)}


def _unpack(program: Program) -> None:
    """Unpack the program's packages; where a release of Debian has not all of them, the program's own alone."""
    try:
        debian.unpack(program.packages, into=_tree(program), dependencies=program.dependencies)
    except ToolingError:
        if not debian.available() or len(program.packages) == 1:
            raise
        debian.unpack(program.packages[:1], into=_tree(program))


def _tree(program: Program) -> Path:
    return TOOLS / "debian" / program.packages[0]
