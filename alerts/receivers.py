"""Alertmanager's configuration with the channels whose secrets are set.

Alertmanager does not read the environment, and 0.25 reads few secrets from files, so the channels are written into a
copy of ``alertmanager.yml``. Needs nothing but Python. With no secret set, the copy is as complete and as silent as the
original.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

BASE = Path(__file__).with_name("alertmanager.yml")
PREFIX = "CLIPPER_ALERTS_"
SEVERITIES = ("info", "warning", "critical")
TEMPLATES = "templates: [messages.tmpl]"

Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to tell people: its key in a receiver, its variables (without PREFIX), and what they are made into.

    ``minimum`` is the lowest severity it is told of unless ``<name>_SEVERITY`` says another.
    """

    key: str
    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    minimum: str
    configure: Callable[[Values], dict[str, object]]

    @property
    def variables(self) -> tuple[str, ...]:
        """Every variable of this channel."""
        return (*self.required, *self.optional, f"{self.name}_SEVERITY")


def _discord(values: Values) -> dict[str, object]:
    return {
        "webhook_url": values["DISCORD_WEBHOOK_URL"],
        "title": '{{ template "clipper.title" . }}',
        "message": '{{ template "clipper.text" . }}',
    }


def _slack(values: Values) -> dict[str, object]:
    channel = {"channel": values["SLACK_CHANNEL"]} if "SLACK_CHANNEL" in values else {}
    return {
        "api_url": values["SLACK_WEBHOOK_URL"],
        "title": '{{ template "clipper.slack.title" . }}',
        "title_link": "{{ (index .Alerts 0).Annotations.dashboard_url }}",
        "text": '{{ template "clipper.slack.text" . }}',
        **channel,
    }


def _email(values: Values) -> dict[str, object]:
    login = {"auth_username": values["EMAIL_USERNAME"]} if "EMAIL_USERNAME" in values else {}
    secret = {"auth_password": values["EMAIL_PASSWORD"]} if "EMAIL_PASSWORD" in values else {}
    return {
        "to": values["EMAIL_TO"],
        "from": values["EMAIL_FROM"],
        "smarthost": values["EMAIL_SMARTHOST"],
        "headers": {"Subject": '{{ template "clipper.title" . }}'},
        "html": "",
        "text": '{{ template "clipper.text" . }}',
        **login,
        **secret,
    }


def _webhook(values: Values) -> dict[str, object]:
    return {"url": values["WEBHOOK_URL"]}


CHANNELS = (
    Channel("discord_configs", "DISCORD", ("DISCORD_WEBHOOK_URL",), (), "info", _discord),
    Channel("slack_configs", "SLACK", ("SLACK_WEBHOOK_URL",), ("SLACK_CHANNEL",), "info", _slack),
    Channel(
        "email_configs",
        "EMAIL",
        ("EMAIL_TO", "EMAIL_FROM", "EMAIL_SMARTHOST"),
        ("EMAIL_USERNAME", "EMAIL_PASSWORD"),
        "warning",
        _email,
    ),
    Channel("webhook_configs", "WEBHOOK", ("WEBHOOK_URL",), (), "info", _webhook),
)


class ReceiversError(ValueError):
    """Invalid variables; the message has one line for each mistake."""


def render(environment: Mapping[str, str], base: Path = BASE) -> str:
    """``base`` with the channels that ``environment`` sets in its receivers, and its templates' path made absolute.

    Raises ReceiversError, which names every mistake; no message holds a secret.
    """
    mistakes: list[str] = []
    values = _values(environment, mistakes)
    channels = [channel for channel in CHANNELS if any(name in values for name in channel.variables)]
    for channel in channels:
        _check(channel, values, mistakes)
    if mistakes:
        raise ReceiversError("\n".join(mistakes))
    text = base.read_text(encoding="utf-8")
    text = text.replace(TEMPLATES, f"templates: [{json.dumps(str(base.with_name('messages.tmpl').resolve()))}]")
    for severity in SEVERITIES:
        # JSON is YAML.
        lines = [
            f"    {channel.key}: [{json.dumps(_configuration(channel, values, severity))}]\n"
            for channel in channels
            if SEVERITIES.index(severity) >= SEVERITIES.index(_minimum(channel, values))
        ]
        text = text.replace(f"  - name: {severity}\n", "".join([f"  - name: {severity}\n", *lines]))
    return text


def _configuration(channel: Channel, values: Values, severity: str) -> dict[str, object]:
    # Programs are notified when any alert resolves; people are not, if it was only information.
    tells_ends = channel.name == "WEBHOOK" or severity != "info"
    return channel.configure(values) | {"send_resolved": tells_ends}


def _minimum(channel: Channel, values: Values) -> str:
    return values.get(f"{channel.name}_SEVERITY", channel.minimum)


def _values(environment: Mapping[str, str], mistakes: list[str]) -> dict[str, str]:
    """Return the values that are set, by name without PREFIX, from NAME or from the file named by NAME_FILE."""
    known = {name for channel in CHANNELS for name in channel.variables}
    values = {}
    for variable, value in sorted(environment.items()):
        if not variable.startswith(PREFIX) or not value:
            continue
        name = variable.removeprefix(PREFIX)
        in_file = name not in known and name.endswith("_FILE")
        name = name.removesuffix("_FILE") if in_file else name
        if name not in known:
            mistakes.append(f"{variable}: no such setting; there are {', '.join(sorted(known))}, each also with _FILE")
        elif name in values:
            mistakes.append(f"{PREFIX}{name}: set twice, also as {PREFIX}{name}_FILE; set one of them")
        else:
            try:
                values[name] = Path(value).read_text(encoding="utf-8").strip() if in_file else value.strip()
            except (OSError, UnicodeDecodeError) as error:
                mistakes.append(f"{variable}: expected a readable text file, got {value!r}: {error}")
    return values


def _check(channel: Channel, values: Values, mistakes: list[str]) -> None:
    mistakes.extend(
        f"{PREFIX}{name}: expected a value, because another {channel.name} setting has one; got none"
        for name in channel.required
        if not values.get(name)
    )
    mistakes.extend(
        f"{PREFIX}{name}: expected a URL like https://host/path, got something else"
        for name in channel.variables
        if name.endswith("_URL") and values.get(name) and not _is_url(values[name])
    )
    severity = _minimum(channel, values)
    if severity not in SEVERITIES:
        mistakes.append(f"{PREFIX}{channel.name}_SEVERITY: expected one of {', '.join(SEVERITIES)}, got {severity!r}")
    smarthost = values.get("EMAIL_SMARTHOST", "")
    if channel.name == "EMAIL" and smarthost and not smarthost.rpartition(":")[2].isdecimal():
        mistakes.append(f"{PREFIX}EMAIL_SMARTHOST: expected host:port, got {smarthost!r}")
    if channel.name == "EMAIL" and ("EMAIL_USERNAME" in values) != ("EMAIL_PASSWORD" in values):
        mistakes.append(f"{PREFIX}EMAIL_USERNAME and {PREFIX}EMAIL_PASSWORD: expected both or neither, got one")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _write(file: Path, text: str, mode: int) -> None:
    """Write ``file`` atomically, never more readable than ``mode``."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    new.touch(0o600, exist_ok=False)
    new.write_text(text, encoding="utf-8")
    new.chmod(mode)
    new.replace(file)


def main(arguments: list[str]) -> int:
    """Write the configuration; the exit status is 2 if the settings are invalid."""
    epilog = "settings, from the environment, each also as a file (NAME_FILE):\n" + "".join(
        f"  {PREFIX}{name}{' (required for this channel)' if name in channel.required else ''}\n"
        for channel in CHANNELS
        for name in channel.variables
    )
    parser = argparse.ArgumentParser(
        prog="receivers.py", description=__doc__, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write to; default: standard output")
    parser.add_argument(
        "--mode", type=lambda text: int(text, 8), default=0o600, help="the file's permissions, octal; default: 600"
    )
    options = parser.parse_args(arguments)
    try:
        text = render(os.environ)
        if options.output is None:
            sys.stdout.write(text)
        else:
            _write(options.output, text, options.mode)
    except ReceiversError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.output or BASE}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
