"""The parent's end of `child.py`: starts it when needed, kills it when it does not answer."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_SCRIPT = Path(__file__).with_name("child.py")
_ENDS_WITHIN_SECONDS = 2.0
_CHUNK = 65_536


class ChildEndedError(Exception):
    """The child ended in the middle of a request."""


class ChildTimeoutError(Exception):
    """The child did not answer in time, and was killed."""


class ChildFailedError(Exception):
    """The child says that it cannot; `error` is one of those that `child.py` names."""

    def __init__(self, error: str, model: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error
        self.model = model


class Child:
    """The child process; used from one thread. It may be restarted by any request."""

    def __init__(self, most_models: int) -> None:
        self._most_models = most_models
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def translate(
        self, models: Sequence[dict[str, Any]], sentences: Sequence[str], deadline: float
    ) -> list[str]:
        """What becomes of each sentence, by `deadline` (of `time.monotonic`).

        Raises `ChildEndedError`, `ChildTimeoutError` or `ChildFailedError`; after all but
        `damaged` the child is gone.
        """
        try:
            answer = self._ask({"models": models, "sentences": sentences}, deadline)
        except BaseException:
            self.kill()
            raise
        if "error" in answer:
            if answer["error"] != "damaged":
                self.kill()
            raise ChildFailedError(answer["error"], answer["model"], answer["detail"])
        found: list[str] = answer["sentences"]
        return found

    def close(self) -> None:
        """Let it end."""
        if self._process is None:
            return
        assert self._process.stdin
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDS_WITHIN_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe
            with suppress(OSError):
                pipe.close()

    def _ask(self, request: dict[str, Any], deadline: float) -> dict[str, Any]:
        if self.pid is None:
            self.kill()
            self._start()
            hello = self._receive(deadline)
            if "error" in hello:
                return hello
        self._send(json.dumps(request).encode(), deadline)
        return self._receive(deadline)

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT), str(os.getpid()), str(self._most_models)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdin
        os.set_blocking(self._process.stdin.fileno(), False)

    def _send(self, body: bytes, deadline: float) -> None:
        assert self._process
        assert self._process.stdin
        pipe = self._process.stdin.fileno()
        rest = memoryview(len(body).to_bytes(4, "big") + body)
        while rest:
            _wait(pipe, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(pipe, rest) :]
            except BlockingIOError:  # room for some, but not for so much
                continue
            except BrokenPipeError:
                raise ChildEndedError("it ended before it was asked") from None

    def _receive(self, deadline: float) -> dict[str, Any]:
        length = int.from_bytes(self._read(4, deadline), "big")
        answer: dict[str, Any] = json.loads(self._read(length, deadline))
        return answer

    def _read(self, length: int, deadline: float) -> bytes:
        assert self._process
        assert self._process.stdout
        pipe = self._process.stdout.fileno()
        got = bytearray()
        while len(got) < length:
            _wait(pipe, select.POLLIN, deadline)
            if not (more := os.read(pipe, min(length - len(got), _CHUNK))):
                raise ChildEndedError("it ended before it answered")
            got += more
        return bytes(got)


def _wait(pipe: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(pipe, event)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise ChildTimeoutError("it did not answer in time")
