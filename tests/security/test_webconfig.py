"""Valid web configuration files, and the messages for invalid ones."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import SettingsError
from exporter.security.webconfig import WebConfig, parse
from tests.certificates import write_pair

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
PAIR = "cert_file: server.pem, key_file: server-key.pem"
REPLACEMENTS = {
    "HASH_OF_COST_3": HASH.replace("$10$", "$03$"),
    "HASH": HASH,
    "HAS_": HASH[:-1],
    "PAIR": PAIR,
}
KEYS = ["tls_server_config", "http_server_config", "headers", "basic_auth_users", "cert_file", "key_file"]


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def folder(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    write_pair(folder, authority)
    write_pair(folder, authority, stem="other")
    write_pair(folder, authority, stem="expired", not_before=utc(2026, 1, 1), not_after=utc(2026, 1, 2, 3, 4))
    write_pair(folder, authority, stem="future", not_before=utc(2999, 1, 2, 3, 4), not_after=utc(3000, 1, 1))
    key = load_pem_private_key((folder / "server-key.pem").read_bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (folder / "encrypted.pem").write_bytes(encrypted)
    (folder / "empty.pem").touch()
    (folder / "binary.pem").write_bytes(b"\xff\xfe")
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    return folder


def mistakes(text: str, folder: Path) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refusal:
        parse(text, folder)
    assert HASH not in repr(refusal.value)
    return refusal.value.mistakes


def test_an_empty_file_turns_nothing_on() -> None:
    assert parse("", Path()) == parse("# nothing\n", Path()) == WebConfig()
    assert parse("tls_server_config:\nhttp_server_config:\nbasic_auth_users:\n", Path()) == WebConfig()


def test_everything_at_once(folder: Path) -> None:
    config = parse(
        f"""
        tls_server_config:
          cert_file: server.pem
          key_file: {folder / "server-key.pem"}
          client_ca_file: ca.pem
          client_auth_type: RequireAndVerifyClientCert
          client_allowed_sans: [prometheus.example, "2001:db8::1"]
          min_version: TLS12
          max_version: TLS13
          cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
          prefer_server_cipher_suites: false
          curve_preferences: [X25519]
        http_server_config:
          http2: true
          headers:
            Content-Security-Policy: default-src 'self'
            Strict-Transport-Security: max-age=31536000
            X-Frame-Options: sameorigin
            X-Content-Type-Options: nosniff
            X-XSS-Protection: ""
        basic_auth_users:
          prometheus: {HASH}
        """,
        folder,
    )
    assert config.tls is not None
    context = config.tls.context
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert (context.minimum_version, context.maximum_version) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    below_13 = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.2"]
    assert below_13 == ["ECDHE-RSA-AES128-GCM-SHA256"]
    assert list(config.headers) == [
        "Content-Security-Policy",
        "Strict-Transport-Security",
        "X-Frame-Options",
        "X-Content-Type-Options",
    ]
    assert config.users == {"prometheus": HASH.encode()}
    assert HASH not in repr(config)
    assert config.tls.admits({"subjectAltName": (("DNS", "x"), ("IP Address", "2001:DB8:0:0:0:0:0:1\n"))})
    assert not config.tls.admits({"subjectAltName": (("DNS", "grafana.example"),)})
    assert not config.tls.admits(None)


def test_the_expiry_is_the_certificates(authority: trustme.CA, tmp_path: Path) -> None:
    for ends in (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)):
        write_pair(tmp_path, authority, not_after=ends)
        tls = parse(f"tls_server_config: {{{PAIR}}}", tmp_path).tls
        assert tls is not None
        assert tls.expires == ends.timestamp()


MISTAKES = Path(__file__).with_name("webconfig_mistakes.txt").read_text(encoding="utf-8").split("\n\n")[1:]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_told(mistake: str, folder: Path) -> None:
    for name, value in REPLACEMENTS.items():
        mistake = mistake.replace(name, value)
    text, _, expected = mistake.strip().partition("\n>>> ")
    assert mistakes(text, folder) == (expected.replace("FOLDER", str(folder)),)


def test_what_is_not_text_is_told(folder: Path) -> None:
    assert mistakes("\x00", folder) == ("not YAML in UTF-8",)


def test_every_unknown_cipher_is_refused_with_all_that_are_known(folder: Path) -> None:
    (line,) = mistakes(f"tls_server_config: {{{PAIR}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}}", folder)
    assert line.startswith("tls_server_config.cipher_suites: expected a list of any of TLS_ECDHE_ECDSA_WITH_AES_128")
    assert line.endswith(", got ['TLS_RSA_WITH_RC4_128_SHA']")


def test_all_mistakes_are_told_at_once(folder: Path) -> None:
    text = f"""
    tls_server_config: {{cert_file: expired.pem, key_file: no.pem}}
    http_server_config: {{headers: {{X-Frame-Options: never, Server: x}}}}
    basic_auth_users: {{a: secret, b: {HASH}, c: secret}}
    more: 1
    """
    fields = [line.split(":")[0] for line in mistakes(text, folder)]
    assert fields == [
        "unknown key 'more' (known",
        "tls_server_config.cert_file",
        "tls_server_config.key_file",
        "http_server_config.headers.X-Frame-Options",
        "http_server_config.headers",
        "basic_auth_users.'a'",
        "basic_auth_users.'c'",
    ]


def is_read_or_refused(text: str | bytes) -> bool:
    try:
        return isinstance(parse(text, Path("/nowhere")), WebConfig)
    except SettingsError as problem:
        return bool(problem.mistakes)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["tls_server_config", "headers", HASH]),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(KEYS), inner),
    )
)
def test_whatever_the_file_holds_is_read_or_refused(data: object) -> None:
    assert is_read_or_refused(yaml.safe_dump(data, allow_unicode=True).encode())


@given(st.binary() | st.text())
def test_whatever_the_file_is_is_read_or_refused(data: bytes | str) -> None:
    assert is_read_or_refused(data)
