"""The socket that a server listens on."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any

from exporter.errors import ListenError
from exporter.settings.address import Address


def listen(address: Address) -> socket.socket:
    """Return a socket that listens on ``address``; raises :class:`~exporter.errors.ListenError`."""
    # Not left to uvicorn, which ends the process on failure.
    try:
        found = socket.getaddrinfo(address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as problem:
        raise ListenError(f"cannot listen on {address}: not an address of this machine ({problem})") from None
    # An empty host means every address: IPv6 first, because a dual-stack socket accepts IPv4 too.
    found.sort(key=lambda each: bool(address.host) or each[0] != socket.AF_INET6)
    failure = OSError()
    for family, kind, protocol, _, where in found:
        try:
            return _listen_on(family, kind, protocol, where, dual_stack=not address.host)
        except OSError as problem:
            failure = problem
        if failure.errno == errno.EADDRINUSE:
            break  # a fallback would leave one address family to the other program
    hint = {
        errno.EADDRINUSE: (
            "another program listens there; choose another port (--web.listen-address, or port of serve()),"
            " or 0 for a free one"
        ),
        errno.EACCES: "not permitted; choose a port of 1024 or more",
        errno.EADDRNOTAVAIL: "not an address of this machine",
        errno.EAFNOSUPPORT: "this machine has no addresses of this family; is IPv6 turned off?",
    }.get(failure.errno or 0, str(failure))
    refusal = ListenError(f"cannot listen on {address}: {hint}")
    refusal.errno = failure.errno  # the constructor would add the number to the message
    raise refusal


def _listen_on(family: int, kind: int, protocol: int, where: Any, *, dual_stack: bool) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform == "win32":  # SO_REUSEADDR would let another program take over the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual_stack else 1)
        listener.bind(where)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
