"""Readiness, told the way systemd's services tell it (`sd_notify(3)`).

`kabar up` listens on such a socket for each process it starts, and systemd does for `kabar up`
itself (`Type=notify`), so that one protocol serves both.
"""

import os
import socket


def ready() -> None:
    """Say that this process now does its work; without `NOTIFY_SOCKET` nobody asked."""
    _send(f"READY=1\nMAINPID={os.getpid()}")


def stopping() -> None:
    """Say that this process has begun to end."""
    _send("STOPPING=1")


def _send(message: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(message.encode(), address)
        except OSError as error:
            if not isinstance(error, (ConnectionRefusedError, FileNotFoundError)):
                raise
            # Whoever asked is gone; that is his to notice, not a reason for us to end.
