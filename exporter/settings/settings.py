"""Builds options from flags, variables and keywords, and reports all mistakes at once."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from exporter.errors import SettingsError
from exporter.settings import values
from exporter.settings.flags import PREFIX, TABLE, Option
from exporter.settings.options import DemoOptions, HttpLimits, LogOptions, ServeOptions, StoreOptions
from exporter.store.shared import TRIGGER_TYPES
from exporter.store.validation import Limits

logger = logging.getLogger("exporter")

# Environment variables without a flag, which only ``shared_stats`` reads.
STRICT: Final = f"{PREFIX}STRICT"
URL: Final = f"{PREFIX}URL"
TOKEN: Final = f"{PREFIX}TOKEN"
TOKEN_FILE: Final = f"{PREFIX}TOKEN_FILE"

_VARIABLES: Final = {STRICT, URL, TOKEN, TOKEN_FILE, *(option.variable for option in TABLE)}
_KEYWORDS: Final = {each.name for each in fields(ServeOptions)}


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the command line."""

    serve: ServeOptions
    store: StoreOptions
    log: LogOptions
    demo: DemoOptions

    @classmethod
    def read(cls, flags: Mapping[str, str], environ: Mapping[str, str], rows: Collection[Option] = TABLE) -> Settings:
        """Read the options of ``rows`` from ``flags`` (text by flag), then ``environ``; the others have their defaults.

        Raises :class:`~exporter.errors.SettingsError` with all mistakes.
        """
        reader = _Reader(rows, flags, environ)
        serve, store = reader.serve({}), reader.store()
        log, demo = LogOptions(**reader.fields("log")), DemoOptions(**reader.fields("demo"))
        reader.refuse_mistakes()
        return cls(serve, store, log, demo)


def serve_options(keywords: Mapping[str, Any], environ: Mapping[str, str]) -> ServeOptions:
    """Build the options of ``serve()`` from its ``keywords``, then ``environ``, then the defaults.

    Raises :class:`~exporter.errors.SettingsError` with all mistakes, and ``TypeError`` for an unknown keyword.
    """
    for name in keywords.keys() - _KEYWORDS:
        raise TypeError(f"serve() has no keyword {name!r}{nearest(name, _KEYWORDS)}")
    # A keyword overrides the variable, which is then not checked.
    passed = {*keywords} | ({"listen"} if {"port", "address"} <= keywords.keys() else set())
    reader = _Reader([option for option in TABLE if option.sets.partition(".")[0] not in passed], None, environ)
    options = reader.serve(keywords)
    reader.refuse_mistakes()
    return options


def store_options(environ: Mapping[str, str]) -> tuple[StoreOptions, tuple[str, ...]]:
    """Return the options of the process's store and a list of mistakes; an invalid option keeps its default."""
    reader = _Reader(TABLE, None, environ)
    return reader.store(), tuple(reader.mistakes)


class _Reader:
    """Reads the options in ``rows`` and collects mistakes, which name the variable if ``flags`` is ``None``."""

    def __init__(self, rows: Collection[Option], flags: Mapping[str, str] | None, environ: Mapping[str, str]) -> None:
        self.mistakes: list[str] = []
        self._rows, self._flags, self._environ = rows, flags, environ

    def fields(self, part: str) -> dict[str, Any]:
        """Return the values of a part by field; a field with keys is a dictionary."""
        found: dict[str, Any] = {}
        for option in (option for option in TABLE if option.part == part):
            name, _, key = option.sets.partition(".")
            into = found.setdefault(name, {}) if key else found
            into[key or name] = self._value(option) if option in self._rows else option.value
        return found

    def serve(self, keywords: Mapping[str, Any]) -> ServeOptions:
        """Build the options of the server; ``keywords`` override values."""
        found = self.fields("serve")
        listen = found.pop("listen")
        try:
            found["limits"] = HttpLimits(**found["limits"])
        except SettingsError as problem:  # each limit is valid, but not both together
            del found["limits"]
            self._refuse("limits.subscribers", str(problem).removeprefix("subscribers: "))
        try:
            return ServeOptions(**{"port": listen.port, "address": listen.host, **found, **keywords})
        except SettingsError as problem:
            self.mistakes += problem.mistakes
            return ServeOptions()

    def store(self) -> StoreOptions:
        """Build the options of the store."""
        found = self.fields("store")
        names, limits = found["trigger_types"], Limits(**found["limits"])
        most, length = limits.trigger_types, limits.name_length
        problems = [f"{len(names)} names are more than --limit.trigger-types ({most})"] if len(names) > most else []
        long = [name for name in names if len(name) > length]
        problems += [f"{name!r} is longer than --limit.name-length ({length} characters)" for name in long]
        if problems:
            self._refuse("trigger_types", *problems)
            found["trigger_types"], default = TRIGGER_TYPES, Limits()
            limits = replace(limits, trigger_types=default.trigger_types, name_length=default.name_length)
        return StoreOptions(**{**found, "limits": limits})

    def refuse_mistakes(self) -> None:
        """Raise :class:`~exporter.errors.SettingsError` if there are mistakes."""
        if self.mistakes:
            raise SettingsError(self.mistakes)

    def _value(self, option: Option) -> Any:
        source, text = self._given(option)
        if text is not None and (text or source == option.flag or option.default is not None):
            try:
                return option.parse(text)
            except ValueError as problem:
                self.mistakes.append(f"{source}: {problem}")
        return option.value

    def _given(self, option: Option) -> tuple[str, str | None]:
        """Return the flag or variable to name in a mistake, and the text given."""
        if self._flags is not None and (option.flag in self._flags or option.variable not in self._environ):
            return option.flag, self._flags.get(option.flag)
        return option.variable, self._environ.get(option.variable)

    def _refuse(self, field: str, *problems: str) -> None:
        source, _ = self._given(options()[field])
        self.mistakes += [f"{source}: {problem}" for problem in problems]


def options() -> dict[str, Option]:
    """Return every option by the field that it sets, in the order of ``--help``."""
    return {option.sets: option for option in TABLE}


def is_strict(environ: Mapping[str, str]) -> bool:
    """Return whether ``CLIPPER_EXPORTER_STRICT`` is on: a refused update raises instead of being logged."""
    return environ.get(STRICT, "0") not in {"", "0"}


def read_token(source: str, file: str) -> str | None:
    """Return the token in ``file``; raises :class:`~exporter.errors.SettingsError`, which names ``source``."""
    try:
        return values.token_in(file) if file else None
    except ValueError as problem:
        raise SettingsError([f"{source}: {problem}"]) from None


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the unknown variables with our prefix, most likely misspelt."""
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in _VARIABLES)


def warn_of_unknown_variables(environ: Mapping[str, str]) -> None:
    """Log a warning for each unknown variable with our prefix."""
    for name in unknown_variables(environ):
        hint = nearest(name, _VARIABLES, 0.9) or ": is it misspelt?"
        logger.warning("unknown environment variable %s%s", name, hint)


def nearest(name: str, known: Iterable[str], near: float = 0.7) -> str:
    """Return the end of a message about ``name``: the nearest of ``known``, or ``""`` if none is that ``near``."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    found = difflib.get_close_matches(name, sorted(known), 1, near)
    return f": did you mean {found[0]}?" if found else ""
