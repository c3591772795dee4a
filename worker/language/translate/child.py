"""Translates with fxtranslate, in a process of its own.

    python -P child.py PARENT MOST_MODELS

fxtranslate holds the GIL while it works, its translators belong to the thread that made them, and
its panics are no `Exception`: hence a process, which may end at any time and is started again by
`parent.py`. It is a script that imports nothing else of Kabar, so that it starts in 50 ms.

Standard input and output carry frames: four bytes of length, big-endian, then JSON. A request is

    {"models": [{"name", "files": [[path, sha256], …]}, …], "sentences": […]}

with the files model, source vocabulary, target vocabulary; of several models each translates what
the one before it made. The answer is `{"sentences": […]}`, or `{"error", "model", "detail"}` with
the error `damaged` (a file is not there or not what was said), `unusable` (the model cannot be
loaded, or makes nothing) or `broken` (it failed at its work; this process then ends). The first
answer, before any request, is `{"ready": true}` or an error of its own, `not_installed`.

It ends at the end of its input, and with its parent, however that ended.
"""

import hashlib
import json
import os
import signal
import sys
from collections import OrderedDict
from typing import Any

_CANARY = "2024."
"""Any model makes something of a number; one whose vocabulary is no vocabulary makes nothing of
anything, without an error."""
_BROKEN = 70  # EX_SOFTWARE


class _Refusal(Exception):  # noqa: N818 - an answer
    def __init__(self, error: str, model: str, detail: str) -> None:
        super().__init__(detail)
        self.answer = {"error": error, "model": model, "detail": detail}


def main(parent: int, most_models: int) -> int:
    """Answer requests until there are no more; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):  # of the whole group: the parent will say when
        signal.signal(number, signal.SIG_IGN)
    frames = _Frames()
    try:
        from fxtranslate import Translator
    except ImportError as error:
        frames.send({"error": "not_installed", "model": "", "detail": str(error)})
        return 1
    models = _Models(Translator, most_models)
    frames.send({"ready": True})
    while (request := frames.receive()) is not None:
        try:
            frames.send({"sentences": _translate(models, request, parent)})
        except _Refusal as refusal:
            frames.send(refusal.answer)
        except BaseException as error:  # noqa: BLE001 - PyO3's PanicException is none other
            frames.send({"error": "broken", "model": "", "detail": _line(error)})
            return _BROKEN
    return 0


def _translate(models: "_Models", request: dict[str, Any], parent: int) -> list[str]:
    sentences: list[str] = request["sentences"]
    translators = models.loaded(request["models"])
    for translator in translators:
        for position, sentence in enumerate(sentences):
            if os.getppid() != parent:
                os._exit(0)
            sentences[position] = translator.translate(sentence)
    return sentences


class _Models:
    """The models that are loaded: those used last, `most` of them or what one request needs."""

    def __init__(self, translator: Any, most: int) -> None:
        self._translator = translator
        self._most = most
        self._loaded: OrderedDict[str, Any] = OrderedDict()

    def loaded(self, specs: list[dict[str, Any]]) -> list[Any]:
        keys = [json.dumps(spec) for spec in specs]
        for key, spec in zip(keys, specs, strict=True):
            if key in self._loaded:
                self._loaded.move_to_end(key)
                continue
            spare = [other for other in self._loaded if other not in keys]
            for other in spare[: max(0, len(self._loaded) + 1 - max(self._most, len(keys)))]:
                del self._loaded[other]
            self._loaded[key] = self._load(spec)
        return [self._loaded[key] for key in keys]

    def _load(self, spec: dict[str, Any]) -> Any:
        name = spec["name"]
        content = [_read(name, path, sha256) for path, sha256 in spec["files"]]
        try:
            translator = self._translator(*content)
            made = translator.translate(_CANARY)
        except BaseException as error:  # noqa: BLE001 - as above
            raise _Refusal("unusable", name, _line(error)) from None
        if not made.strip():
            raise _Refusal("unusable", name, "it translates everything to nothing")
        return translator


def _read(name: str, path: str, sha256: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            content = file.read()
    except OSError as error:
        raise _Refusal("damaged", name, f"{path}: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _Refusal("damaged", name, f"{path} is not what its checksum says")
    return content


class _Frames:
    """The pipes to the parent; whatever else is written to standard output goes to the log."""

    def __init__(self) -> None:
        self._input = os.dup(0)
        self._output = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)

    def receive(self) -> dict[str, Any] | None:
        head = self._read(4)
        body = head and self._read(int.from_bytes(head, "big"))
        return json.loads(body) if body else None

    def send(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        rest = memoryview(len(body).to_bytes(4, "big") + body)
        try:
            while rest:
                rest = rest[os.write(self._output, rest) :]
        except BrokenPipeError:
            os._exit(0)  # nobody is there to be told

    def _read(self, length: int) -> bytes | None:
        """`length` bytes; None when the input ends before."""
        got = bytearray()
        while len(got) < length:
            if not (more := os.read(self._input, min(length - len(got), 1_048_576))):
                return None
            got += more
        return bytes(got)


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
