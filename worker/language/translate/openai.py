"""Any server with OpenAI's chat API: llama.cpp, Ollama, vLLM, OpenAI.
https://platform.openai.com/docs/api-reference/chat/create
"""

import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from worker.language.translate import prompts
from worker.language.translate.engines import EngineError, Translation
from worker.language.translate.services import (
    Post,
    Service,
    ServiceError,
    TooMuchError,
    translated,
)
from worker.reasons import Reason
from worker.settings import OpenAiSettings

_URL = "https://api.openai.com/v1"
_MOST_TEXTS = 16
_MOST_CHARACTERS = 6_000
_SPARE_TOKENS = 64  # for the JSON around the texts, each
_QUOTA = "insufficient_quota"
_REFUSED = frozenset({400, 415, 422, 500, 501})
_NOT_FOUND = 404
_FENCED = re.compile(r"```[^\n`]*\n?(.*?)\n?```", re.DOTALL)
_EMPHASIS = ("**", "__", "`")


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What a server understands of the API; found out by what it refuses."""

    answer: Literal["json_schema", "json_object", "text"] = "json_schema"
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    has_temperature: bool = True

    def simpler(self, said: str) -> "_Dialect | None":
        """What to try after a refusal that said `said`; None when there is nothing else."""
        if self.limit == "max_tokens" and "max_completion_tokens" in said:
            return replace(self, limit="max_completion_tokens")
        if self.has_temperature and "temperature" in said:
            return replace(self, has_temperature=False)
        match self.answer:
            case "json_schema":
                return replace(self, answer="json_object")
            case "json_object":
                return replace(self, answer="text")
        return None

    def options(self, count: int, most_tokens: int) -> dict[str, Any]:
        """What a request says beside model and messages."""
        options: dict[str, Any] = {self.limit: most_tokens}
        if self.has_temperature:
            options["temperature"] = 0
        if self.answer == "json_schema":
            options["response_format"] = {"type": self.answer, "json_schema": _schema(count)}
        elif self.answer == "json_object":
            options["response_format"] = {"type": self.answer}
        return options


class OpenAi:
    """The engine `openai`: texts go out and come back as numbered JSON."""

    name = "openai"
    is_llm = True

    def __init__(self, settings: OpenAiSettings, post: Post) -> None:
        self._service = Service(settings, post, _URL)
        self._model = settings.model
        self._dialect = _Dialect()

    def model(self, source: str, target: str) -> str:
        """The model of the settings."""
        return self._model

    def knows(self, source: str, target: str) -> bool:
        """Any two languages: what comes of it is judged."""
        return source != target

    def translate(
        self, texts: Sequence[str], source: str, target: str, *, seconds: float
    ) -> list[Translation]:
        """As `Engine.translate`."""
        deadline = time.monotonic() + seconds

        def ask(batch: Sequence[str]) -> list[str]:
            return self._ask(batch, source, target, deadline)

        made = translated(texts, ask, most_texts=_MOST_TEXTS, most_characters=_MOST_CHARACTERS)
        return [Translation(text, self.name, self._model) for text in made]

    def close(self) -> None:
        """Nothing is held."""

    def _ask(self, batch: Sequence[str], source: str, target: str, deadline: float) -> list[str]:
        nonce = secrets.token_hex(8)
        request = {
            "model": self._model,
            "messages": prompts.messages(batch, source, target, nonce),
        }
        # A token a character is the most that any script needs.
        most_tokens = sum(_SPARE_TOKENS + len(text) for text in batch)
        answer = self._answer(request, len(batch), most_tokens, deadline)
        made = _numbered(_content(answer), len(batch))
        if any(nonce in text for text in made):
            raise TooMuchError("the model repeated what marks the texts")
        return [_bare(text, asked) for text, asked in zip(made, batch, strict=True)]

    def _answer(
        self, request: dict[str, Any], count: int, most_tokens: int, deadline: float
    ) -> Any:
        """The server's answer, in whatever dialect it takes; the next request begins with that."""
        key = self._service.key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        dialect: _Dialect | None = self._dialect
        while True:
            assert dialect
            asked = {**request, **dialect.options(count, most_tokens)}
            try:
                answer = self._service.ask("/chat/completions", asked, deadline, headers)
            except ServiceError as error:
                if _is_over_context(error):
                    raise TooMuchError(error.detail) from None
                dialect = dialect.simpler(error.detail) if error.status in _REFUSED else None
                if dialect is None:
                    raise _known(error) from None
            else:
                self._dialect = dialect
                return answer


def _schema(count: int) -> dict[str, Any]:
    """For an object with a text for each number: a server that keeps to it cannot lose count."""
    keys = [str(number) for number in range(1, count + 1)]
    return {
        "name": "translations",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {key: {"type": "string"} for key in keys},
            "required": keys,
            "additionalProperties": False,
        },
    }


def _is_over_context(error: ServiceError) -> bool:
    return error.status in _REFUSED and "context" in error.detail.lower()


def _known(error: ServiceError) -> EngineError:
    if error.status == _NOT_FOUND and "model" in error.detail.lower():
        return error.known_as(Reason.MODEL_MISSING, lasting=True)
    if _QUOTA in json.dumps(error.body):
        return error.known_as(Reason.RATE_LIMITED, lasting=True)
    return error


def _content(answer: dict[str, Any]) -> str:
    try:
        content = answer["choices"][0]["message"]["content"]
    except (LookupError, TypeError):
        raise EngineError(Reason.ENGINE_FAILED, "the answer is none of a chat") from None
    if not isinstance(content, str):
        raise TooMuchError("the model said nothing")
    return content


def _numbered(content: str, count: int) -> list[str]:
    """The texts of a JSON object with the keys 1 to `count`; else raises `TooMuchError`."""
    said = content.rpartition("</think>")[2]  # what some models say to themselves before
    try:
        found = json.loads(said[said.index("{") : said.rindex("}") + 1], strict=False)
    except (ValueError, RecursionError):
        raise TooMuchError("the model's answer holds no JSON object") from None
    wanted = [str(number) for number in range(1, count + 1)]
    if sorted(found) != sorted(wanted):
        raise TooMuchError(f"{len(found)} texts came back for {count}, or under other numbers")
    if not all(isinstance(text, str) for text in found.values()):
        raise TooMuchError("the model's answer holds something else than texts")
    return [found[number] for number in wanted]


def _bare(text: str, asked: str) -> str:
    """The translation without the Markdown that a model may have put around it."""
    text = prompts.plain(text).strip()
    if "```" not in asked:
        text = _FENCED.sub(r"\1", text).strip()
    for mark in _EMPHASIS:
        if mark not in asked and text.startswith(mark) and text.endswith(mark):
            text = text[len(mark) : -len(mark)].strip()
    return text
