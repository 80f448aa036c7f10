"""Everything public is a name of ``exporter``; importing it loads no server, no client, no prometheus_client."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import exporter
from exporter import errors

PUBLIC = [
    "ClipperCollector",
    "ExporterError",
    "FeedError",
    "HttpLimits",
    "InvalidBatch",
    "InvalidUpdate",
    "Limits",
    "ListenError",
    "RemoteStats",
    "Server",
    "SettingsError",
    "SharedStats",
    "StorageError",
    "__version__",
    "emit_stats_update",
    "push",
    "serve",
    "shared_stats",
]
HEAVY = [
    "asyncio",
    "bcrypt",
    "engineio",
    "h11",
    "http.client",
    "isal",
    "prometheus_client",
    "requests",
    "socketio",
    "sqlite3",
    "ssl",
    "starlette",
    "urllib3",
    "uvicorn",
    "wsproto",
    "yaml",
]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_these_are_the_public_names() -> None:
    assert exporter.__all__ == PUBLIC
    assert dir(exporter) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there_in_a_fresh_process(name: str) -> None:
    assert run(f"import exporter; from exporter import {name}; print({name} is exporter.{name})") == "True\n"


def test_every_error_is_public() -> None:
    tree = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)}
    assert tree <= set(PUBLIC)


def test_a_module_is_not_public() -> None:
    assert not any(isinstance(getattr(exporter, name), ModuleType) for name in PUBLIC)


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'exporter' has no attribute 'shared_stat'"):
        exporter.shared_stat  # noqa: B018


def test_importing_it_loads_nothing_heavy() -> None:
    assert run(f"import sys, exporter; print([name for name in {HEAVY!r} if name in sys.modules])") == "[]\n"


def test_the_shared_store_loads_nothing_heavy() -> None:
    code = "import sys; from exporter import shared_stats as s; s.update_viewers('a', 1); s.add_trigger('a', 'b', {});"
    assert run(f"{code} print([name for name in {HEAVY!r} if name in sys.modules])") == "[]\n"


def test_the_shared_store_is_made_once_however_it_is_come_by() -> None:
    code = (
        "import threading, exporter; from exporter import SharedStats; found = [];"
        "start = threading.Barrier(8);"
        "make = lambda n: (start.wait(), found.append(SharedStats() if n % 2 else exporter.shared_stats));"
        "threads = [threading.Thread(target=make, args=(n,)) for n in range(8)];"
        "[each.start() for each in threads]; [each.join() for each in threads];"
        "print(len(found), {each is exporter.shared_stats for each in found})"
    )
    assert run(code) == "8 {True}\n"


def test_a_star_import_brings_the_public_names() -> None:
    code = f"from exporter import *; print([name for name in {PUBLIC!r} if name not in globals()])"
    assert run(code) == "[]\n"
