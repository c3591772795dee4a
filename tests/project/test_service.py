"""The systemd unit: its own command line, started as systemd starts it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_UNIT = _ROOT / "config" / "kabar.service"


def _value(key: str) -> str:
    (line,) = [line for line in _UNIT.read_text().splitlines() if line.startswith(f"{key}=")]
    return line.partition("=")[2]


@pytest.mark.slow
def test_what_the_unit_starts_says_that_it_is_ready_and_ends_when_asked(tmp_path: Path) -> None:
    program, *arguments = _value("ExecStart").split()
    command = [str(Path(sys.executable).with_name(Path(program).name)), *arguments]
    assert _value("Environment") == "KABAR_DATA_DIR=/var/lib/kabar"
    with (
        tempfile.TemporaryDirectory(prefix="kabar-", dir="/tmp") as directory,  # short, for sockets
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
    ):
        notify = f"{directory}/notify"
        channel.bind(notify)
        channel.settimeout(60)
        with (tmp_path / "log").open("wb") as log:
            service = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=tmp_path,
                env={
                    **os.environ,
                    "KABAR_DATA_DIR": f"{directory}/data",
                    "KABAR_WEB__PORT": "0",
                    "NOTIFY_SOCKET": notify,
                },
                start_new_session=True,
            )
        try:
            assert f"READY=1\nMAINPID={service.pid}".encode() in channel.recv(4096)
            service.send_signal(signal.SIGTERM)
            assert b"STOPPING=1" in channel.recv(4096)
            assert service.wait(float(_value("TimeoutStopSec"))) == 0
        finally:
            service.kill()
            service.wait()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_the_unit() -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", str(_UNIT)], capture_output=True, text=True, timeout=60
    )
    # The program is where the documentation puts it, not where the tests run.
    complaints = [line for line in done.stderr.splitlines() if "/opt/kabar" not in line]
    assert complaints == []
