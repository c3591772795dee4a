"""`kabar` on a terminal: narrow ones, and what is watched until Ctrl-C."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from types import TracebackType

import pytest
from sqlalchemy import Engine

from tests import waiting
from tests.cli.rows import add_endpoint, publish
from tests.cli.running import Commands
from tests.store.rows import NOON, add_feed

ROOT = Path(__file__).parents[2]
URL = f"https://example.org/{'berita/' * 20}feed.xml"
TITLE = "Berita terkini dari seluruh kepulauan"
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """`kabar …` on a terminal of `width` columns; as a context manager it has ended afterwards."""

    def __init__(self, *arguments: str, width: int) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        environ = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "worker", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
            # Its own session, whose terminal this is: Ctrl-C goes to whoever has it.
            preexec_fn=lambda: _take_terminal(slave),  # noqa: PLW1509
            start_new_session=True,
        )
        os.close(slave)
        self.raw = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(30)
        os.close(self._master)

    @property
    def shown(self) -> str:
        """What was written so far, without the codes that move and colour."""
        while select([self._master], [], [], 0)[0]:
            try:
                part = os.read(self._master, 65_536)
            except OSError:  # nobody has the other end any more
                break
            if not part:
                break
            self.raw += part.decode()
        return CODES.sub("", self.raw)

    def end(self) -> int:
        """Its exit code, once it has ended."""

        def ended() -> bool:
            assert self.shown is not None  # read, or it waits for room to write
            return self._process.poll() is not None

        waiting.until(ended, "the command has ended", 60)
        assert self.shown is not None
        return self._process.returncode

    def press_ctrl_c(self) -> None:
        os.write(self._master, b"\x03")


def _take_terminal(slave: int) -> None:
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


@pytest.fixture
def full(store: Engine) -> Engine:
    add_feed(store, URL, title=TITLE, polled_at=NOON,
             detail="503 Service Unavailable", failures=3)  # fmt: skip
    add_endpoint(store, "desk", URL)
    publish(store, title="Regional government opens a new harbour in the east, minister says")
    return store


def test_a_table_gives_way_in_its_long_columns(full: Engine) -> None:
    with Terminal("endpoints", "list", width=60) as terminal:
        assert terminal.end() == 0
        first, *lines = terminal.shown.splitlines()
    assert first.split() == ["id", "name", "state", "url", "deliveries", "reason"]
    assert max(map(len, lines)) <= 60
    column = slice(first.index("url"), first.index("deliveries"))
    assert "".join(line[column].strip() for line in lines) == URL
    assert "1 pending" in lines[0]


def test_a_row_is_a_paragraph_where_a_table_has_no_room(full: Engine) -> None:
    add_feed(full, "https://example.org/second")
    with Terminal("feeds", "list", width=60) as terminal:
        assert terminal.end() == 0
        lines = terminal.shown.splitlines()
    assert lines[:3] == ["id         1", "state      active", f"title      {TITLE}"]
    assert f"url        {URL}" in lines
    assert "error      503 Service Unavailable" in lines
    assert lines[lines.index("") + 1] == "id         2"


def test_in_a_pipe_a_row_is_a_line(kabar: Commands, full: Engine) -> None:
    _, line = kabar("feeds", "list").out.splitlines()
    assert TITLE in line
    assert URL in line


def test_the_status_on_sixty_columns(full: Engine) -> None:
    with Terminal("status", width=60) as terminal:
        assert terminal.end() == 0
        lines = terminal.shown.splitlines()
    assert max(map(len, lines)) <= 60
    assert any(line.startswith("deliver") for line in lines)


def test_json_is_the_same_on_any_terminal(full: Engine) -> None:
    with Terminal("feeds", "list", "--json", width=20) as terminal:
        assert terminal.end() == 0
        assert json.loads(terminal.shown)[0]["url"] == URL


class TestWatch:
    def test_until_ctrl_c(self, full: Engine) -> None:
        with Terminal("status", "--watch", width=100) as terminal:
            waiting.until(lambda: "no process was heard of" in terminal.shown, "a first look")
            assert re.search(r"^poll +1 ", terminal.shown, re.MULTILINE)
            add_feed(full, "https://example.org/second")
            waiting.until(
                lambda: re.search(r"^poll +2 ", terminal.shown, re.MULTILINE), "another look"
            )
            terminal.press_ctrl_c()
            assert terminal.end() == 0
            assert "Traceback" not in terminal.shown
            assert "\x1b[?25h" in terminal.raw, "the cursor is shown again"

    @pytest.mark.slow
    def test_in_a_pipe_each_look_follows_the_last(self, full: Engine) -> None:
        with _piped("status", "--watch") as process:
            assert process.stdout is not None
            heads = 0
            for line in process.stdout:
                heads += line.startswith("stage ")
                if heads == 2:
                    break
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
            assert (process.returncode, err) == (0, "")

    @pytest.mark.slow
    def test_a_store_that_goes_away_ends_it(self, full: Engine) -> None:
        with _piped("status", "--watch") as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("stage ")
            Path(str(full.url.database)).write_bytes(b"no database " * 1_000)
            _, err = process.communicate(timeout=60)
            assert process.returncode == 1
            assert err.startswith("kabar: the store cannot be reached: ")
            assert err.count("\n") == 1


@contextmanager
def _piped(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(30)
