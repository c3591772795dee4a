"""Any server with OpenAI's chat API: llama.cpp, Ollama, vLLM, OpenAI.
https://platform.openai.com/docs/api-reference/chat/create
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from worker.language.translate.engines import EngineError
from worker.language.translate.services import Post, Service, ServiceError, TooMuchError
from worker.reasons import Reason
from worker.settings import OpenAiSettings

_URL = "https://api.openai.com/v1"
_QUOTA = "insufficient_quota"
_REFUSED = frozenset({400, 415, 422, 500, 501})
_NOT_FOUND = 404


class Chat:
    """The server and the model of the settings; used from one thread."""

    def __init__(self, settings: OpenAiSettings, post: Post) -> None:
        self._service = Service(settings, post, _URL)
        self._model = settings.model
        self._dialect = _Dialect()

    def ask(
        self,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        most_tokens: int,
        deadline: float,
    ) -> str:
        """What the model says, by `deadline` (of `time.monotonic`).

        It is asked in whatever dialect the server takes, and the next time at once: `schema` is one
        for a JSON object, which a server that knows no schemas does not see. Raises as
        `Service.ask`.
        """
        request = {"model": self._model, "messages": messages}
        key = self._service.key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        dialect: _Dialect | None = self._dialect
        while True:
            assert dialect
            asked = {**request, **dialect.options(schema, most_tokens)}
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
                return _content(answer)


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

    def options(self, schema: Mapping[str, Any], most_tokens: int) -> dict[str, Any]:
        """What a request says beside model and messages."""
        options: dict[str, Any] = {self.limit: most_tokens}
        if self.has_temperature:
            options["temperature"] = 0
        if self.answer == "json_schema":
            form = {"name": "answer", "strict": True, "schema": schema}
            options["response_format"] = {"type": self.answer, "json_schema": form}
        elif self.answer == "json_object":
            options["response_format"] = {"type": self.answer}
        return options


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
    return content.rpartition("</think>")[2]  # what some models say to themselves before
