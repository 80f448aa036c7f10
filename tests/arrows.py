"""Which module of a package imports which: read from the source, so imports inside functions count as well."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One import: in ``file`` at ``line``, of ``module``, as ``a.b.c``; ``room`` is what of the package holds it."""

    file: Path
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def imports(root: Path, folder: str) -> Iterator[Import]:
    """Every import of the Python files below ``folder`` of ``root``, with names taken for modules where they are."""
    for file in sorted((root / folder).rglob("*.py")):
        relative = file.relative_to(root)
        for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
            if isinstance(node, ast.Import):
                for name in node.names:
                    yield Import(relative, node.lineno, name.name)
            elif isinstance(node, ast.ImportFrom):
                above = relative.parts[: -node.level] if node.level else ()
                base = ".".join([*above, *([node.module] if node.module else [])])
                for name in node.names:
                    whole = f"{base}.{name.name}"
                    yield Import(relative, node.lineno, whole if _is_module(root, whole) else base)


def _is_module(root: Path, module: str) -> bool:
    path = root.joinpath(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def wrong_arrows(root: Path, package: str, allowed: Mapping[str, AbstractSet[str]]) -> list[str]:
    """The imports inside ``package`` that lead where ``allowed`` has no arrow, each with its file and line.

    A room is a folder or a module directly in the package; the package itself is ``""``.
    """
    wrong = []
    for each in imports(root, package):
        target = each.module.split(".")
        if target[0] != package:
            continue
        inside = each.file.parts[1:]
        room = "" if inside == ("__init__.py",) else inside[0].removesuffix(".py")
        other = target[1] if len(target) > 1 else ""
        if room not in allowed:
            wrong.append(f"{each}: {room!r} is no room of the plan")
        elif other not in allowed[room] | {room}:
            wrong.append(str(each))
    return wrong
