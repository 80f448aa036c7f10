"""TLS from files: a context for new connections, and clear words for certificates and keys that will not do."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

# Go's names, which the web configuration file uses, and OpenSSL's. Those of TLS 1.3 cannot be chosen in either.
CIPHERS: Final = {
    f"TLS_ECDHE_{key}_WITH_{go}": f"ECDHE-{key}-{openssl}"
    for key in ("ECDSA", "RSA")
    for go, openssl in (
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    )
}
TLS13_CIPHERS: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
CLIENT_AUTH: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY: Final = re.compile(r"-----BEGIN ((?:[A-Z]+ )?PRIVATE KEY)-----")


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """The section ``tls_server_config``: names as Go spells them, paths as they are opened."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_auth_type: str = "NoClientCert"
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    curve_preferences: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True

    @property
    def files(self) -> list[Path]:
        """The files that a context is made from."""
        return [path for path in (self.cert_file, self.key_file, self.client_ca_file) if path is not None]


@dataclass(frozen=True, slots=True)
class Tls:
    """What a new connection is secured with; ``expires`` is the Unix time until which the certificate is valid."""

    context: ssl.SSLContext
    expires: float
    allowed_sans: frozenset[str] = frozenset()

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether a client's certificate, as ``ssl`` describes it, carries a name that is allowed."""
        if not self.allowed_sans:
            return True
        names = (certificate or {}).get("subjectAltName", ())
        return not self.allowed_sans.isdisjoint(
            _address(name) if kind == "IP Address" else name for kind, name in names
        )


SEND_ALERT: Final[ContextVar[Callable[[bytes], None]]] = ContextVar("SEND_ALERT")
"""How the peer of the connection being made is told why its handshake failed."""


class _Context(ssl.SSLContext):
    """A context whose handshakes tell the peer why they fail: asyncio closes before it sends the alert."""

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *rest: Any, **options: Any) -> ssl.SSLObject:
        wrapped = super().wrap_bio(incoming, outgoing, *rest, **options)
        if isinstance(wrapped, _Telling) and (send := SEND_ALERT.get(None)) is not None:
            wrapped.tell = lambda: send(outgoing.read())
        return wrapped


class _Telling(ssl.SSLObject):
    tell: Callable[[], None] = staticmethod(lambda: None)

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            self.tell()
            raise


def load(config: TlsConfig, mistakes: list[str]) -> Tls | None:
    """Make a context; every mistake in the files adds a line to ``mistakes``, and then there is none."""
    before = len(mistakes)
    certificate = _pem(config.cert_file, "cert_file", "a certificate", mistakes)
    expires = _expiry(certificate, config.cert_file, "cert_file", mistakes) if certificate else 0.0
    _pem(config.key_file, "key_file", "a private key", mistakes)
    if config.client_ca_file is not None:
        _pem(config.client_ca_file, "client_ca_file", "a certificate", mistakes)
    if len(mistakes) > before:
        return None
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _Telling
    context.minimum_version = VERSIONS[config.min_version]
    context.maximum_version = VERSIONS[config.max_version]
    context.set_alpn_protocols(["http/1.1"])
    if not config.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    chosen = [CIPHERS[name] for name in config.cipher_suites if name in CIPHERS]
    if chosen:
        context.set_ciphers(":".join(chosen))
    for curve in config.curve_preferences:
        context.set_ecdh_curve(CURVES[curve])
    try:
        context.load_cert_chain(config.cert_file, config.key_file)
    except ssl.SSLError as problem:
        mistakes.append(_pair_mistake(config, problem))
    if config.client_ca_file is not None:
        try:
            context.load_verify_locations(config.client_ca_file)
        except ssl.SSLError:
            mistakes.append(
                _mistake("client_ca_file", f"certificates in {config.client_ca_file}", "what cannot be read")
            )
    context.verify_mode = CLIENT_AUTH[config.client_auth_type]
    return None if len(mistakes) > before else Tls(context, expires, frozenset(config.client_allowed_sans))


def _mistake(field: str, expected: str, got: object) -> str:
    return f"tls_server_config.{field}: expected {expected}, got {got}"


def _pem(path: Path, field: str, what: str, mistakes: list[str]) -> str | None:
    """The file's text if it holds what it should, in PEM."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        got = problem.strerror if isinstance(problem, OSError) else "a file that is not text"
        mistakes.append(_mistake(field, f"{what} in PEM in {path}", got))
        return None
    key = _KEY.search(text)
    certificate = _CERTIFICATE.search(text)
    found = certificate if what == "a certificate" else key
    if found is None:
        got = "a private key" if key else "a certificate" if certificate else "neither certificate nor key"
        mistakes.append(_mistake(field, f"{what} in PEM in {path}", got))
        return None
    if what == "a private key" and ("ENCRYPTED" in found[1] or "Proc-Type: 4,ENCRYPTED" in text):
        mistakes.append(_mistake(field, f"a private key without a passphrase in {path}", "an encrypted one"))
        return None
    return found[0]


def _pair_mistake(config: TlsConfig, problem: ssl.SSLError) -> str:
    if problem.reason in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}:
        return _mistake("key_file", f"the key of the certificate in {config.cert_file}", "the key of another one")
    expected = f"a certificate that can be used, with its key in {config.key_file}, in {config.cert_file}"
    return _mistake("cert_file", expected, problem.reason or "one that cannot be read")


def _expiry(certificate: str, path: Path, field: str, mistakes: list[str]) -> float:
    try:
        begins, ends = _validity(ssl.PEM_cert_to_DER_cert(certificate))
    except ValueError:
        mistakes.append(_mistake(field, f"a certificate in {path}", "one that cannot be read"))
        return 0.0
    now = datetime.now(UTC)
    if not begins <= now <= ends:
        got = (
            f"one that expired on {ends:%Y-%m-%d %H:%M} UTC"
            if now > ends
            else f"one valid from {begins:%Y-%m-%d %H:%M} UTC"
        )
        mistakes.append(_mistake(field, f"a certificate that is valid now in {path}", got))
    return ends.timestamp()


def _validity(der: bytes) -> tuple[datetime, datetime]:
    """The first and the last moment that a certificate is valid: RFC 5280, section 4.1, which ``ssl`` does not tell."""
    try:
        fields = _elements(_elements(_elements(der)[0][1])[0][1])
        # Version, which may be missing, serial number, algorithm, issuer, validity.
        begins, ends = _elements(fields[4 if fields[0][0] == 0xA0 else 3][1])[:2]
        return _time(*begins), _time(*ends)
    except (IndexError, UnicodeDecodeError) as problem:
        raise ValueError("not a certificate") from problem


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents of the elements that follow each other, in the distinguished encoding of X.690."""
    elements = []
    at = 0
    while at < len(der):
        tag, size, at = der[at], der[at + 1], at + 2
        if size >= 0x80:
            count = size - 0x80
            size, at = int.from_bytes(der[at : at + count], "big"), at + count
        elements.append((tag, der[at : at + size]))
        at += size
    return elements


def _time(tag: int, text: bytes) -> datetime:
    digits = text.decode("ascii").removesuffix("Z")
    if tag == 0x17:  # UTCTime, whose two-digit years turn over in 1950
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def _address(text: str) -> str:
    # OpenSSL writes out all eight groups of an IPv6 address; people do not.
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return text
