import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import waiting
from tests.embedded.conftest import StartUp
from tests.embedded.running import ROOT, dummy
from worker.embedded.output import LINE_BYTES, Lines, Output


def lines_of(*chunks: bytes) -> list[bytes]:
    lines = Lines()
    found = [line for chunk in chunks for line in lines.feed(chunk)]
    return [*found, *lines.end()]


def test_lines_are_cut_wherever_the_chunks_were() -> None:
    assert lines_of(b"on", b"e\ntw", b"o\r\n\nlast") == [b"one", b"two", b"", b"last"]


def test_a_long_line_is_capped_and_says_by_how_much() -> None:
    mebibyte = b"x" * 1_048_576
    first, second = lines_of(mebibyte[:500_000], mebibyte[500_000:] + b"\nnext\n")
    assert first == b"x" * LINE_BYTES + b" [983040 more bytes]"
    assert second == b"next"


def test_a_stream_that_ends_in_a_long_line_is_capped_too() -> None:
    assert lines_of(b"y" * 70_000) == [b"y" * LINE_BYTES + b" [4464 more bytes]"]


@pytest.fixture
def pipe() -> "tuple[int, int]":
    return os.pipe()


def test_every_line_carries_its_name(pipe: tuple[int, int]) -> None:
    output = Output(pipe[1], ["io", "control"])
    output.line("io", b"one")
    output.line("control", b"two")
    output.line("kabar", b"\xff\xfe three")
    output.close()
    assert os.read(pipe[0], 4096) == (b"io      | one\ncontrol | two\nkabar   | \\xff\\xfe three\n")


def test_a_reader_that_stands_still_holds_nothing_up(pipe: tuple[int, int]) -> None:
    output = Output(pipe[1], ["io"], buffer_bytes=200_000)
    for number in range(20_000):
        output.line("io", b"%d %s" % (number, b"." * 50))
    text = read_until(pipe[0], lambda text: kept(text) + dropped(text) == 20_000)
    assert dropped(text) > 0
    output.line("io", b"heard again")
    read_until(pipe[0], lambda text: b"heard again" in text)
    output.close()


def kept(text: bytes) -> int:
    return text.count(b"....\n")


def dropped(text: bytes) -> int:
    return sum(map(int, re.findall(rb"(\d+) lines dropped: nobody read", text)))


def test_closing_does_not_wait_for_a_reader_for_ever(pipe: tuple[int, int]) -> None:
    output = Output(pipe[1], ["io"])
    for _ in range(100):
        output.line("io", b"." * 10_000)
    output.close(within_seconds=0.2)


def test_a_reader_that_is_gone_is_no_error(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    output = Output(pipe[1], ["io"])
    output.line("io", b"unheard")
    output.close(within_seconds=30)
    assert not output._writer.is_alive()


def test_a_terminal_that_somebody_made_non_blocking_loses_nothing(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    output = Output(pipe[1], ["io"])
    for _ in range(100):
        output.line("io", b"." * 10_000)
    output.line("io", b"the last")
    assert read_until(pipe[0], lambda text: b"the last\n" in text).count(b"\n") == 101
    output.close()


@pytest.mark.parametrize(
    ("environ", "colored"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals(
    environ: dict[str, str], colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    master, slave = pty.openpty()
    output = Output(slave, ["io"])
    output.line("io", b"hello")
    output.close()
    assert (b"\x1b[" in os.read(master, 4096)) is colored
    os.close(slave)
    os.close(master)


def test_what_children_write_arrives_however_they_write_it(
    start_up: StartUp, tmp_path: Path
) -> None:
    said = b"\xff\xfe broken\n" + b"z" * 1_048_576 + b"\nno end"
    (tmp_path / "said").write_text(said.hex())
    children = {"io": dummy("io", "--say-hex", str(tmp_path / "said"))}
    up = start_up(children).wait_ready()
    assert up.stop() == 0
    lines = [line for line in up.written().splitlines() if line.startswith("io ")]
    assert lines == [
        "io      | \\xff\\xfe broken",
        f"io      | {'z' * LINE_BYTES} [983040 more bytes]",
        "io      | no end",
    ]


def test_children_go_on_while_nobody_reads_our_output(tmp_path: Path) -> None:
    """The reader of `kabar up`'s own stderr stands still; a child writes 20 MB meanwhile."""
    done = tmp_path / "done"
    script = (
        "import pathlib\n"
        "for _ in range(20_000): print('.' * 999)\n"
        f"pathlib.Path({str(done)!r}).touch()\n"
    )
    (tmp_path / "children.json").write_text(json.dumps({"io": [sys.executable, "-c", script]}))
    up = subprocess.Popen(
        [sys.executable, "-m", "tests.embedded.up_with", str(tmp_path / "children.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KABAR_DATA_DIR": str(tmp_path / "data")},
        start_new_session=True,
    )
    try:
        waiting.until(done.exists, "the child has written all of it")
        up.send_signal(signal.SIGTERM)
        _, written = up.communicate(timeout=60)
    finally:
        up.kill()
    assert up.returncode == 0
    assert b" lines dropped: nobody read" in written


def read_until(fd: int, condition: Callable[[bytes], bool]) -> bytes:
    os.set_blocking(fd, False)
    read = b""

    def more() -> bool:
        nonlocal read
        with contextlib.suppress(BlockingIOError):
            read += os.read(fd, 65_536)
        return condition(read)

    waiting.until(more, "the expected output", step=0.001)
    return read
