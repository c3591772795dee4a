"""What the processes write, line by line under their names, on one stream.

Nobody waits for a reader: lines go through a bounded buffer to a thread that writes them, so that
a terminal that stands still holds up neither this process nor, through a full pipe, the others.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

LINE_BYTES = 65_536
_BUFFER_BYTES = 4_194_304
_COLORS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


class Output:
    """Writes `name | line` to the file descriptor `fd`; usable from one thread.

    `names` are those that will write, for the column's width and their colours. Colour is for
    terminals, and not where `NO_COLOR` asks for none (no-color.org).
    """

    def __init__(self, fd: int, names: Sequence[str], *, buffer_bytes: int = _BUFFER_BYTES) -> None:
        self._fd = fd
        self._prefixes = dict(_prefixes(names, color=_wants_color(fd)))
        self._buffer_bytes = buffer_bytes
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._closing = False
        self._changed = threading.Condition()
        self._writer = threading.Thread(target=self._write, name="output", daemon=True)
        self._writer.start()

    def line(self, name: str, text: bytes) -> None:
        """Write one line, without its end; dropped (and counted) when the buffer is full."""
        whole = self._prefixes[name] + _printable(text) + b"\n"
        with self._changed:
            if self._waiting_bytes + len(whole) > self._buffer_bytes:
                self._dropped += 1
            else:
                self._append(whole)

    def close(self, within_seconds: float = 2.0) -> None:
        """Write what waits, unless the reader does not take it in time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._writer.join(within_seconds)

    def _append(self, whole: bytes) -> None:
        self._lines.append(whole)
        self._waiting_bytes += len(whole)
        self._changed.notify()

    def _write(self) -> None:
        while chunk := self._take():
            _write_all(self._fd, chunk)

    def _take(self) -> bytes:
        """All that waits, or nothing once closed."""
        with self._changed:
            while not self._lines and not self._dropped and not self._closing:
                self._changed.wait()
            chunk = b"".join(self._lines)
            if self._dropped:
                chunk += self._prefixes["kabar"] + (
                    b"%d lines dropped: nobody read this output fast enough\n" % self._dropped
                )
            self._lines.clear()
            self._waiting_bytes = 0
            self._dropped = 0
            return chunk


class Lines:
    """Cuts a stream of bytes into lines of at most `LINE_BYTES`."""

    def __init__(self) -> None:
        self._rest = b""
        self._cut_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that `chunk` completes, without their ends."""
        *complete, last = chunk.split(b"\n")
        for part in complete:
            self._add(part)
            yield self._take()
        self._add(last)

    def end(self) -> Iterator[bytes]:
        """What is left when the stream has ended in the middle of a line."""
        if self._rest:
            yield self._take()

    def _add(self, part: bytes) -> None:
        room = LINE_BYTES - len(self._rest)
        self._rest += part[:room]
        self._cut_bytes += len(part[room:])

    def _take(self) -> bytes:
        line = self._rest.removesuffix(b"\r")
        if self._cut_bytes:
            line += b" [%d more bytes]" % self._cut_bytes
        self._rest, self._cut_bytes = b"", 0
        return line


def _prefixes(names: Iterable[str], *, color: bool) -> Iterator[tuple[str, bytes]]:
    every = ["kabar", *names]
    width = max(map(len, every))
    for position, name in enumerate(every):
        prefix = f"{name:{width}} | "
        if color:
            prefix = f"\x1b[{_COLORS[position % len(_COLORS)]}m{prefix}\x1b[0m"
        yield name, prefix.encode()


def _wants_color(fd: int) -> bool:
    return os.isatty(fd) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _printable(text: bytes) -> bytes:
    return text.decode(errors="backslashreplace").encode()


def _write_all(fd: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # somebody who shares this terminal has set it non-blocking
            select.select([], [fd], [])
        except OSError:
            # The reader is gone for good, and what is written is lost. Not a reason to end: a
            # service outlives the terminal it was started from.
            return
