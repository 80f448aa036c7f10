"""Who may come in, and who may push: decided here alone, for the guard, the receiver and the description."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Scope

from exporter.settings import values

STATS_PATH: Final = "/api/stats"
OPEN_PATHS: Final = frozenset({"/-/healthy", "/-/ready"})
"""The routes that need no credentials, as on Prometheus's own servers."""
_REMEDY: Final = "name a file that holds one with --push.token-file or CLIPPER_EXPORTER_PUSH_TOKEN_FILE"


def _nobody() -> Mapping[str, bytes]:
    return {}


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in: if there are ``users`` now, who gives the password of one, but for the open paths.

    Who may push: who brings the ``token``; if there is none, a user, or everybody of this machine if ``local``, which
    is listening on a loopback address. Raises ``ValueError`` for a token that is not one printable word.
    """

    token: str | None = field(default=None, repr=False)
    users: Callable[[], Mapping[str, bytes]] = _nobody
    local: bool = False

    def __post_init__(self) -> None:
        if self.token is not None:
            try:
                values.token(self.token)
            except ValueError as problem:
                raise ValueError(f"push_token: {problem}") from None

    def __str__(self) -> str:
        """Who may push."""
        if self.token is not None:
            return "with the token"
        if self.needs_password:
            return "with the name and the password of a user"
        return "from this machine only: no token is set" if self.local else f"refused: no token is set; {_REMEDY}"

    @property
    def needs_password(self) -> bool:
        """Whether all but the open paths, and pushes with a token, needs a password now."""
        return bool(self.users())

    def asks_for_password(self, scope: Scope) -> bool:
        """Whether this request needs a password: not if it pushes with a token, which :meth:`check_push` verifies."""
        if not self.needs_password or scope.get("path") in OPEN_PATHS:
            return False
        pushes = scope.get("method") == "POST" and scope.get("path") == STATS_PATH
        return self.token is None or not pushes or authorization(scope)[0] != "bearer"

    def check_push(self, request: Request) -> None:
        """Raise the ``HTTPException`` that answers a request that may not push."""
        if self.token is not None:
            scheme, given = authorization(request.scope)
            if scheme != "bearer" or not hmac.compare_digest(given.encode(), self.token.encode()):
                raise HTTPException(
                    401, "expected the header Authorization: Bearer with the token", {"WWW-Authenticate": "Bearer"}
                )
        elif request.scope.get("user") is not None:  # has given a password
            return
        elif not self.local:
            raise HTTPException(403, "pushing needs a token where other machines may connect: see --push.token-file")
        elif not _is_loopback(_host(request)):
            # A page of another site may have its own name lead here, and is then no longer of another origin.
            raise HTTPException(403, "pushing without a token needs localhost or a loopback address as the host")


def authorization(scope: Scope) -> tuple[str, str]:
    """The scheme, in small letters, and the credentials that a request comes with; both may be empty."""
    scheme, _, rest = Headers(scope=scope).get("authorization", "").partition(" ")
    return scheme.lower(), rest.strip()


def _host(request: Request) -> str:
    host = request.headers.get("host", "").lower()
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host


def _is_loopback(host: str) -> bool:
    """Return whether ``host`` is ``localhost``, or an address of 127.0.0.0/8 or ``[::1]`` itself: no name of DNS is."""
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback and bracketed == (address.version == 6)
