"""Readiness over a real datagram socket."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker import notify


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket of whoever asked to be told."""
    monkeypatch.chdir(tmp_path)  # a socket's path holds 108 bytes at most
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(10)
        listening.bind("notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "notify")
        yield listening


def test_ready_is_told_with_the_pid(supervisor: socket.socket) -> None:
    notify.ready()
    assert supervisor.recv(1024) == b"READY=1\nMAINPID=%d" % os.getpid()


def test_stopping_is_told(supervisor: socket.socket) -> None:
    notify.stopping()
    assert supervisor.recv(1024) == b"STOPPING=1"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's abstract namespace")
def test_a_socket_in_the_abstract_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"kabar-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(10)
        listening.bind(f"\0{name}")
        notify.ready()
        assert listening.recv(1024).startswith(b"READY=1\n")


def test_without_a_socket_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.ready()
    monkeypatch.setenv("NOTIFY_SOCKET", "")
    notify.stopping()


def test_who_asked_may_be_gone(supervisor: socket.socket) -> None:
    supervisor.close()
    notify.ready()  # refused
    Path("notify").unlink()
    notify.stopping()  # not there


def test_what_cannot_be_a_socket_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / ("x" * 200)))
    with pytest.raises(OSError, match="too long"):
        notify.ready()
