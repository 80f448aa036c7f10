"""Certificates for tests: a certificate authority of their own, and files as an operator would have them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import trustme

NAMES = ("exporter.example", "127.0.0.1")


def write_pair(
    folder: Path,
    authority: trustme.CA,
    *names: str,
    stem: str = "server",
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> None:
    """Write ``{stem}.pem`` and ``{stem}-key.pem`` for ``names``, and the authority's ``ca.pem``."""
    issued = authority.issue_cert(*(names or NAMES), not_before=_bare(not_before), not_after=_bare(not_after))
    (folder / f"{stem}.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(folder / f"{stem}-key.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")


def _bare(moment: datetime | None) -> datetime | None:
    # trustme takes times as UTC that do not say so.
    return moment.replace(tzinfo=None) if moment is not None else None
