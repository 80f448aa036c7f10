"""Whatever stands in a web configuration file is understood or refused, and no message shows a secret."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from exporter.errors import SettingsError
from exporter.security.webconfig import parse

SECRET = 53 * "a"
# One character each while a file is made up, so that no cut leaves a part that nobody could tell for one of a hash.
HASHES = {"\N{KEY}": f"$2y$10${SECRET}", "\N{LOCK}": f"$2b$04${SECRET[:-1]}"}
HASH = next(iter(HASHES))
KEYS = {
    "tls_server_config": [
        "cert_file",
        "key_file",
        "client_ca_file",
        "client_auth_type",
        "client_allowed_sans",
        "min_version",
        "max_version",
        "cipher_suites",
        "curve_preferences",
        "prefer_server_cipher_suites",
        "cert",
        "key",
    ],
    "http_server_config": ["http2", "headers"],
    "basic_auth_users": ["ada", "a:b", HASH],
    "rate_limit": ["interval"],
}
values = st.sampled_from(
    [*HASHES, "server.crt", "/", "TLS12", "TLS13", "VerifyClientCertIfGiven", "RequireAnyClientCert", "X25519"]
) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.dates() | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
sections = {
    name: st.dictionaries(st.sampled_from(keys) | st.text(max_size=4), values, max_size=4) | values
    for name, keys in KEYS.items()
}


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file with sections that may be right, or hold anything; some with a part cut out or repeated."""
    data: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=sections))
    # YAML holds JSON; what JSON has no word for is written as it would be in Python.
    text = "\n".join(f"{name}: {json.dumps(value, default=str, ensure_ascii=False)}" for name, value in data.items())
    start, end = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
    part = draw(st.sampled_from(["keep", "keep", "keep", "cut", "repeat"]))
    middle = {"keep": text[start:end], "cut": "", "repeat": 2 * text[start:end]}[part]
    text = text[:start] + middle + text[end:]
    for character, hashed in HASHES.items():
        text = text.replace(character, hashed)
    return text


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files() | st.text(max_size=100) | st.binary(max_size=100))
def test_a_file_is_understood_or_refused_without_its_secrets(text: str | bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config, mistakes = None, ""
        try:
            config = parse(text, Path(folder))
        except SettingsError as problem:
            mistakes = str(problem)
    event("refused" if config is None else "accepted")
    assert SECRET[:5] not in mistakes
    if config is None:
        assert mistakes
        return
    assert SECRET[:5] not in repr(config)
    # There is no certificate in the folder, so that no file with TLS can be right.
    assert config.tls is None
    assert all(hashed.startswith(b"$2") for hashed in config.users.values())
    assert all(value.isascii() and value.isprintable() for value in config.headers.values())
