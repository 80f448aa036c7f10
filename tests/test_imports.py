"""Tests and benchmarks do not import each other; what both need is in ``scripts/tooling``."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tooling.checkout import ROOT


def imported(code: str) -> Iterator[str]:
    """Yield the name of every module that ``code`` imports, and the arguments of ``import_module``."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield ast.unparse(node.args[0]).strip("f'\"")


@pytest.mark.parametrize(("folder", "other"), [("tests", "benchmarks"), ("benchmarks", "tests")])
def test_neither_imports_the_other(folder: str, other: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert len(files) > 10
    found = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files
        for module in imported(file.read_text(encoding="utf-8"))
        if module.partition(".")[0] == other
    ]
    assert found == []


def test_every_kind_of_import_is_found() -> None:
    code = "import a.b, c as d\nfrom e.f import g\nif 1:\n    from h import i\nimport_module(f'j.{k}')\n"
    assert list(imported(code)) == ["a.b", "c", "e.f", "h", "j.{k}"]
