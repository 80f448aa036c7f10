"""TLS contexts from files, and the mistakes in certificates and keys."""

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

# From Go's names, which the web configuration file uses, to OpenSSL's. Neither lets you choose those of TLS 1.3.
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
    """The section ``tls_server_config``, with Go's names and resolved paths."""

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
        """The files of the certificate, key and authorities."""
        return [path for path in (self.cert_file, self.key_file, self.client_ca_file) if path is not None]


@dataclass(frozen=True, slots=True)
class Tls:
    """The TLS of new connections; ``expires`` is the Unix time at which the certificate expires."""

    context: ssl.SSLContext
    expires: float
    allowed_sans: frozenset[str] = frozenset()

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Return whether a client's certificate, in the form of ``ssl.getpeercert()``, has an allowed name."""
        if not self.allowed_sans:
            return True
        names = (certificate or {}).get("subjectAltName", ())
        return not self.allowed_sans.isdisjoint(
            _address(name) if kind == "IP Address" else name for kind, name in names
        )


SEND_ALERT: Final[ContextVar[Callable[[bytes], None]]] = ContextVar("SEND_ALERT")
"""Sends a TLS alert to the peer of the current handshake."""


class _Context(ssl.SSLContext):
    """A context that sends the alert of a failed handshake; asyncio closes the connection before it does."""

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *rest: Any, **options: Any) -> ssl.SSLObject:
        wrapped = super().wrap_bio(incoming, outgoing, *rest, **options)
        if isinstance(wrapped, _AlertingSSLObject) and (send := SEND_ALERT.get(None)) is not None:
            wrapped.send_alert = lambda: send(outgoing.read())
        return wrapped


class _AlertingSSLObject(ssl.SSLObject):
    send_alert: Callable[[], None] = staticmethod(lambda: None)

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            self.send_alert()
            raise


def load(config: TlsConfig, mistakes: list[str]) -> Tls | None:
    """Return the TLS of ``config``, or add a line per mistake to ``mistakes`` and return ``None``."""
    before = len(mistakes)
    certificate = _pem(config.cert_file, "cert_file", "a certificate", mistakes)
    expires = _expiry(certificate, config.cert_file, "cert_file", mistakes) if certificate else 0.0
    _pem(config.key_file, "key_file", "a private key", mistakes)
    if config.client_ca_file is not None:
        _pem(config.client_ca_file, "client_ca_file", "a certificate", mistakes)
    if len(mistakes) > before:
        return None
    context = _Context(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _AlertingSSLObject
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
            mistakes.append(_mistake("client_ca_file", f"{config.client_ca_file} holds an invalid certificate"))
    context.verify_mode = CLIENT_AUTH[config.client_auth_type]
    return None if len(mistakes) > before else Tls(context, expires, frozenset(config.client_allowed_sans))


def _mistake(field: str, problem: str) -> str:
    return f"tls_server_config.{field}: {problem}"


def _pem(path: Path, field: str, what: str, mistakes: list[str]) -> str | None:
    """Return the first match of ``what`` in a PEM file, or add a mistake and return ``None``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not text"
        mistakes.append(_mistake(field, f"{path} cannot be read ({reason})"))
        return None
    key = _KEY.search(text)
    certificate = _CERTIFICATE.search(text)
    found = certificate if what == "a certificate" else key
    if found is None:
        holds = "a private key" if key else "a certificate" if certificate else "neither certificate nor key"
        mistakes.append(_mistake(field, f"expected {what} in PEM, but {path} holds {holds}"))
        return None
    if what == "a private key" and ("ENCRYPTED" in found[1] or "Proc-Type: 4,ENCRYPTED" in text):
        mistakes.append(_mistake(field, f"the key in {path} is encrypted; remove its passphrase"))
        return None
    return found[0]


def _pair_mistake(config: TlsConfig, problem: ssl.SSLError) -> str:
    if problem.reason in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"}:
        return _mistake("key_file", f"{config.key_file} is not the key of the certificate in {config.cert_file}")
    pair = f"{config.cert_file} with the key in {config.key_file}"
    return _mistake("cert_file", f"{pair} cannot be used ({problem.reason or 'unreadable'})")


def _expiry(certificate: str, path: Path, field: str, mistakes: list[str]) -> float:
    try:
        begins, ends = _validity(ssl.PEM_cert_to_DER_cert(certificate))
    except ValueError:
        mistakes.append(_mistake(field, f"the certificate in {path} cannot be parsed"))
        return 0.0
    now = datetime.now(UTC)
    if not begins <= now <= ends:
        period = f"expired on {ends:%Y-%m-%d %H:%M}" if now > ends else f"is valid only from {begins:%Y-%m-%d %H:%M}"
        mistakes.append(_mistake(field, f"the certificate in {path} {period} UTC"))
    return ends.timestamp()


def _validity(der: bytes) -> tuple[datetime, datetime]:
    """Return notBefore and notAfter of a certificate (RFC 5280, section 4.1), which ``ssl`` does not expose."""
    try:
        fields = _elements(_elements(_elements(der)[0][1])[0][1])
        # Version (optional), serial number, algorithm, issuer, validity.
        begins, ends = _elements(fields[4 if fields[0][0] == 0xA0 else 3][1])[:2]
        return _time(*begins), _time(*ends)
    except (IndexError, UnicodeDecodeError) as problem:
        raise ValueError("not a certificate") from problem


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Return the tag and content of each element of a DER sequence (X.690)."""
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
    if tag == 0x17:  # UTCTime: two-digit years from 1950 to 2049
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def _address(text: str) -> str:
    # OpenSSL writes all eight groups of an IPv6 address; the configuration may shorten it.
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return text
