"""The programs that the demo, tests and benchmarks run: found, or got from Debian.

A program is looked for in its environment variable, in ``.tools/`` of the checkout, and on ``PATH``, in this order.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from tooling import debian
from tooling.checkout import TOOLS, ToolingError


class Packages(NamedTuple):
    """Debian's packages, named in one text, the most important first; with ``dependencies``, also what they need.

    ``by_hand`` tells a person how to get them.
    """

    names: str
    by_hand: str
    dependencies: bool = False

    @property
    def tree(self) -> Path:
        """The folder that the packages are unpacked into, together."""
        return TOOLS / "debian" / self.names.split()[0]


class Program(NamedTuple):
    """A program, the packages that hold it at ``path``, and its names on other systems."""

    name: str
    packages: Packages
    path: str
    aliases: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """The environment variable that names the program to use."""
        return f"CLIPPER_{self.name.removeprefix('prometheus-').removeprefix('docker-').upper()}"


# The pages of Debian's Prometheus are links to files of the other packages. Without them only its API works.
_PROMETHEUS = Packages(
    "prometheus fonts-glyphicons-halflings libjs-bootstrap4 libjs-d3 libjs-eonasdan-bootstrap-datetimepicker "
    "libjs-jquery libjs-jquery-hotkeys libjs-moment libjs-moment-timezone libjs-mustache libjs-popper.js "
    "libjs-rickshaw node-jquery",
    "Debian: apt install prometheus; macOS: brew install prometheus; else https://prometheus.io/download/",
)
_ALERTMANAGER = Packages(
    "prometheus-alertmanager",
    "Debian: apt install prometheus-alertmanager; macOS: brew install alertmanager; else https://prometheus.io/download/",
)
_CHROMIUM = Packages(
    "chromium chromium-driver",
    "Debian: apt install chromium chromium-driver; macOS: brew install --cask chromium chromedriver",
    dependencies=True,
)
# It reads and checks a compose file without a Docker engine.
_COMPOSE = Packages(
    "docker-compose python3-attr python3-certifi python3-chardet python3-charset-normalizer python3-distro "
    "python3-distutils python3-docker python3-dockerpty python3-docopt python3-dotenv python3-idna python3-jsonschema "
    "python3-lib2to3 python3-packaging python3-pkg-resources python3-pyrsistent python3-requests python3-six "
    "python3-texttable python3-urllib3 python3-websocket python3-yaml",
    "Debian: apt install docker-compose",
)
PROGRAMS: Final = {
    program.name: program
    for program in (
        Program("prometheus", _PROMETHEUS, "usr/bin/prometheus"),
        Program("promtool", _PROMETHEUS, "usr/bin/promtool"),
        Program("prometheus-alertmanager", _ALERTMANAGER, "usr/bin/prometheus-alertmanager", ("alertmanager",)),
        Program("amtool", _ALERTMANAGER, "usr/bin/amtool"),
        Program("chromium", _CHROMIUM, "usr/lib/chromium/chromium", ("chromium-browser", "google-chrome")),
        Program("chromedriver", _CHROMIUM, "usr/bin/chromedriver"),
        Program("docker-compose", _COMPOSE, "usr/bin/docker-compose"),
    )
}
_LIBRARIES: Final = ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib/*-linux-gnu*/pulseaudio")
# Lets an unpacked browser find fonts: without any it ends at once.
_FONTS: Final = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>{tree}/usr/share/fonts</dir><cachedir>{tree}/var/cache</cachedir></fontconfig>
"""


def find(name: str) -> Path | None:
    """Return where the program ``name`` is, or ``None``.

    Raises ``ToolingError`` if its environment variable names something that is not a program: a person's choice is not
    silently replaced by another.
    """
    program = PROGRAMS[name]
    chosen = os.environ.get(program.variable)
    if chosen and shutil.which(chosen) is None:
        raise ToolingError(f"{program.variable}: {chosen!r} is not a program; set the path of {name}, or unset it")
    places = [chosen] if chosen else [str(program.packages.tree / program.path), name, *program.aliases]
    found = next(filter(None, map(shutil.which, places)), None)
    return Path(found).absolute() if found else None


def fetch(name: str) -> Path:
    """Return where the program ``name`` is; get it from Debian into ``.tools/`` if it is nowhere yet.

    Raises ``ToolingError`` that says why it could not be got, and how to get it by hand.
    """
    if (found := find(name)) is not None:
        return found
    packages = PROGRAMS[name].packages
    try:
        try:
            debian.unpack(packages.names.split(), packages.tree, dependencies=packages.dependencies)
        except ToolingError:
            if packages is not _PROMETHEUS:
                raise
            debian.unpack(["prometheus"], packages.tree)  # a release that has not all of the others
    except ToolingError as error:
        raise ToolingError(f"{error}\n{how_to_get(name)}") from error
    if (found := find(name)) is None:
        raise ToolingError(f"Debian's packages {packages.names} have no {name}\n{how_to_get(name)}")
    return found


def how_to_get(name: str) -> str:
    """Return one line for a person: how to get the program ``name``."""
    program = PROGRAMS[name]
    return f"to get {name}: {program.packages.by_hand} (found on PATH, or where {program.variable} says)"


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
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "FONTCONFIG_FILE": str(fonts),
        "PYTHONPATH": f"{tree}/usr/lib/python3/dist-packages{os.pathsep}{tree}/usr/lib/python3.11",
    }
