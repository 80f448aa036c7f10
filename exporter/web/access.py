"""Access rules: who may send requests and who may push. The middleware and the receiver ask this module."""

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
    """The access rules of one server.

    If there are ``users``, every path except the open paths needs the password of one. A push needs the ``token``.
    Without a token, a push needs a user's password, or must come from this machine if the server is ``local`` (listens
    on a loopback address). Raises ``ValueError`` if the token is not one printable word.
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
        """Return who may push."""
        if self.token is not None:
            return "with the token"
        if self.needs_password:
            return "with the name and the password of a user"
        return "from this machine only: no token is set" if self.local else f"refused: no token is set; {_REMEDY}"

    @property
    def needs_password(self) -> bool:
        """True if requests need a password now, except on the open paths and for pushes with a token."""
        return bool(self.users())

    def asks_for_password(self, scope: Scope) -> bool:
        """Return whether this request needs a password. :meth:`check_push` verifies the token of a push with one."""
        if not self.needs_password or scope.get("path") in OPEN_PATHS:
            return False
        pushes = scope.get("method") == "POST" and scope.get("path") == STATS_PATH
        return self.token is None or not pushes or authorization(scope)[0] != "bearer"

    def check_push(self, request: Request) -> None:
        """Raise ``HTTPException`` with status 401 or 403 if the request may not push."""
        if self.token is not None:
            scheme, given = authorization(request.scope)
            if scheme != "bearer" or not hmac.compare_digest(given.encode(), self.token.encode()):
                raise HTTPException(
                    401,
                    "missing or wrong push token: send the header Authorization: Bearer <token>",
                    {"WWW-Authenticate": "Bearer"},
                )
        elif request.scope.get("user") is not None:  # has sent a valid password
            return
        elif not self.local:
            raise HTTPException(403, "other machines can connect, so pushing needs a token: see --push.token-file")
        elif not _is_loopback(_host(request)):
            # DNS rebinding: another site can point its own name at this machine, and then counts as the same origin.
            raise HTTPException(403, "pushing without a token needs localhost or a loopback address in the Host header")


def authorization(scope: Scope) -> tuple[str, str]:
    """Return the scheme, in lower case, and the credentials of the Authorization header; both may be empty."""
    scheme, _, rest = Headers(scope=scope).get("authorization", "").partition(" ")
    return scheme.lower(), rest.strip()


def _host(request: Request) -> str:
    host = request.headers.get("host", "").lower()
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host


def _is_loopback(host: str) -> bool:
    """Return whether ``host`` is ``localhost``, an address in 127.0.0.0/8 or ``[::1]``; no other name is."""
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback and bracketed == (address.version == 6)
