"""Builds options from flags, variables and keywords, and reports all mistakes at once."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from exporter.errors import SettingsError
from exporter.settings import checks, environment
from exporter.settings.flags import DEFAULTS, TABLE, DemoOptions, LogOptions, Option, Part, StoreOptions
from exporter.settings.options import FIELDS, ServeOptions

logger = logging.getLogger("exporter")

_NAMES: Final = ("trigger_types", "limits.trigger_types", "limits.name_length")
_CONNECTIONS: Final = ("limits.subscribers", "limits.connections")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the command line."""

    serve: ServeOptions
    store: StoreOptions
    log: LogOptions
    demo: DemoOptions

    @classmethod
    def read(cls, flags: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
        """Read the settings from ``flags`` (text by flag), then ``environ``, then the defaults.

        Raises :class:`~exporter.errors.SettingsError` with all mistakes.
        """
        given = _Given(TABLE, flags, environ)
        settings = cls(**{part: given.options(part) for part in DEFAULTS})
        given.refuse_mistakes()
        return settings


def serve_options(keywords: Mapping[str, Any], environ: Mapping[str, str]) -> ServeOptions:
    """Build the options of ``serve()`` from its ``keywords``, then ``environ``, then the defaults.

    Raises :class:`~exporter.errors.SettingsError` with all mistakes, and ``TypeError`` for an unknown keyword.
    """
    for name in keywords.keys() - FIELDS:
        raise TypeError(f"serve() has no keyword {name!r}{nearest(name, FIELDS)}")
    # A keyword overrides the variable, which is then not checked.
    rows = [option for option in TABLE if option.part == "serve" and not option.is_set_by(keywords)]
    given = _Given(rows, None, environ)
    options: ServeOptions = given.options("serve", keywords)
    given.refuse_mistakes()
    return options


def health_options(flags: Mapping[str, str], environ: Mapping[str, str], rows: Iterable[Option]) -> ServeOptions:
    """Build only the options in ``rows``; raises :class:`~exporter.errors.SettingsError`."""
    given = _Given(rows, flags, environ)
    options: ServeOptions = given.options("serve")
    given.refuse_mistakes()
    return options


def store_options(environ: Mapping[str, str]) -> tuple[StoreOptions, tuple[str, ...]]:
    """Return the options of the process's store and a list of mistakes; an invalid option keeps its default."""
    given = _Given([option for option in TABLE if option.part == "store"], None, environ)
    options: StoreOptions = given.options("store")
    return options, tuple(given.mistakes)


class _Given:
    """The values of the options in ``rows``, from flags and variables, and the mistakes in them.

    If ``flags`` is ``None``, mistakes name the variable.
    """

    def __init__(self, rows: Iterable[Option], flags: Mapping[str, str] | None, environ: Mapping[str, str]) -> None:
        self.mistakes: list[str] = []
        self._values: dict[Part, dict[str, Any]] = {part: {} for part in DEFAULTS}
        self._sources: dict[str, str] = {}
        for option in rows:
            source, text = option.variable, environ.get(option.variable)
            if flags is not None and (option.flag in flags or text is None):
                source, text = option.flag, flags.get(option.flag)
            elif not text and option.optional:
                text = None
            self._sources[option.sets] = source
            if text is not None:
                try:
                    self._values[option.part][option.sets] = option.parse(text)
                except ValueError as problem:
                    self.mistakes.append(f"{source}: {problem}")
        self._check_connections()
        self._check_trigger_types()

    def options(self, part: Part, keywords: Mapping[str, Any] | None = None) -> Any:
        """Build the options of ``part``; ``keywords`` override values, and their mistakes are added."""
        fields: dict[str, Any] = {}
        for sets, value in self._values[part].items():
            name, _, key = sets.partition(".")
            if key:
                fields.setdefault(name, {})[key] = value
            elif name == "listen":
                fields |= {"address": value.host, "port": value.port}
            else:
                fields[name] = value
        if "limits" in fields:
            fields["limits"] = dataclasses.replace(DEFAULTS[part].limits, **fields["limits"])
        try:
            return dataclasses.replace(DEFAULTS[part], **{**fields, **(keywords or {})})
        except SettingsError as problem:
            self.mistakes += problem.mistakes
            return DEFAULTS[part]

    def refuse_mistakes(self) -> None:
        """Raise :class:`~exporter.errors.SettingsError` if there are mistakes."""
        if self.mistakes:
            raise SettingsError(self.mistakes)

    def _check_connections(self) -> None:
        subscribers, connections = self._found("serve", *_CONNECTIONS)
        try:
            checks.below_connections(subscribers, connections)
        except ValueError as problem:
            self._contradiction("serve", _CONNECTIONS, str(problem))

    def _check_trigger_types(self) -> None:
        names, most, length = self._found("store", *_NAMES)
        problems = [f"{len(names)} names are more than --limit.trigger-types ({most})"] if len(names) > most else []
        problems += [
            f"{name!r} is longer than --limit.name-length ({length} characters)" for name in names if len(name) > length
        ]
        if problems:
            self._contradiction("store", _NAMES, *problems)

    def _found(self, part: Part, *fields: str) -> list[Any]:
        return [self._values[part].get(field, attrgetter(field)(DEFAULTS[part])) for field in fields]

    def _contradiction(self, part: Part, fields: tuple[str, ...], *problems: str) -> None:
        """Record mistakes of values that contradict each other, and use their defaults."""
        self.mistakes += [f"{self._sources[fields[0]]}: {problem}" for problem in problems]
        for field in fields:
            self._values[part].pop(field, None)


def options() -> dict[str, Option]:
    """Return every option by the field that it sets, in the order of ``--help``."""
    return {option.sets: option for option in TABLE}


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the unknown variables with our prefix, most likely misspelt."""
    known = {option.variable for option in TABLE} | environment.WITHOUT_FLAG
    return sorted(name for name in environ if name.startswith(environment.PREFIX) and name not in known)


def warn_of_unknown_variables(environ: Mapping[str, str]) -> None:
    """Log a warning for each unknown variable with our prefix."""
    known = {option.variable for option in TABLE} | environment.WITHOUT_FLAG
    for name in unknown_variables(environ):
        logger.warning("unknown environment variable %s%s", name, nearest(name, known, 0.9) or ": is it misspelt?")


def nearest(name: str, known: Iterable[str], near: float = 0.7) -> str:
    """Return the end of a message about ``name``: the nearest of ``known``, or ``""`` if none is that ``near``."""
    import difflib  # noqa: PLC0415 - only a mistake needs it

    found = difflib.get_close_matches(name, sorted(known), 1, near)
    return f": did you mean {found[0]}?" if found else ""
