"""Tells systemd that the process is ready, still alive, or ending (sd_notify, over its datagram socket).

Without NOTIFY_SOCKET (a terminal, a test) nothing is said. A message that cannot be sent is dropped: systemd
will notice the silence, which is what the watchdog is for.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

WATCHDOG_SHARE: Final = 3
"""Signs of life in one watchdog time: two may be lost."""
US_PER_S: Final = 1_000_000


class SystemdNotifier:
    """systemd behind the port `Supervisor`."""

    def __init__(self, address: str | None = None) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET") if address is None else address

    def ready(self) -> None:
        """See `Supervisor.ready`."""
        self._send("READY=1")

    def alive(self) -> None:
        """See `Supervisor.alive`."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """See `Supervisor.stopping`."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(message.encode(), address)


def watchdog_interval_s(environment: Mapping[str, str] | None = None, *, pid: int | None = None) -> float | None:
    """How often to give a sign of life; None when nobody watches this process (WATCHDOG_USEC, sd_notify(3))."""
    found = os.environ if environment is None else environment
    own_pid = str(os.getpid() if pid is None else pid)
    text = found.get("WATCHDOG_USEC", "")
    if not text.isdigit() or int(text) == 0 or found.get("WATCHDOG_PID", own_pid) != own_pid:
        return None
    return int(text) / US_PER_S / WATCHDOG_SHARE
