"""An address to listen on."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on; an empty ``host`` means every address of the machine."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def near(self) -> Address:
        """The address at which this machine reaches a server that listens on this one."""
        with suppress(ValueError):  # a host name is kept as it is
            if not self.host or ipaddress.ip_address(self.host).is_unspecified:
                return Address("::1" if ":" in self.host else "127.0.0.1", self.port)
        return self
