"""What engines that are services on the network have in common: requests, errors, batches."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from worker.http import Response
from worker.language.translate.engines import EngineError, Translation
from worker.language.translate.limits import Rate
from worker.reasons import Reason
from worker.settings import HttpEngineSettings

Post = Callable[..., Response]
"""`post(url, body, headers=…, timeout_seconds=…)`, by the one HTTP client."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_TOO_MUCH = 413
_LONGEST_DETAIL = 300


def counted(post: Post, rate: Rate) -> Post:
    """`post`, with each of its requests noted in `rate`."""

    def noted(*args: Any, **options: Any) -> Response:
        rate.take(time.monotonic())
        return post(*args, **options)

    return noted


class ServiceError(EngineError):
    """The service refused; `status` is its answer's, `body` that answer where it is JSON."""

    def __init__(
        self, response: Response, body: Any, reason: Reason, detail: str, *, lasting: bool
    ) -> None:
        super().__init__(reason, detail, response.retry_after(datetime.now(UTC)), lasting)
        self.status = response.status
        self.body = body

    def known_as(self, reason: Reason, *, lasting: bool) -> EngineError:
        """The same error, of which more is known than its status says."""
        return EngineError(reason, self.detail, self.retry_after, lasting)


class TooMuchError(Exception):
    """The service will not take so many texts at once, or lost count of them."""


class Service:
    """A translation service, asked by POST with JSON; `url` is without a slash at its end."""

    def __init__(self, settings: HttpEngineSettings, post: Post, own_url: str) -> None:
        self.url = (settings.url or own_url).rstrip("/")
        self.key = settings.api_key.get_secret_value() if settings.api_key else ""
        self._timeout_seconds = settings.timeout_seconds
        self._post = post

    def ask(
        self,
        path: str,
        request: Mapping[str, Any],
        deadline: float,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> Any:
        """The service's answer, by `deadline` (of `time.monotonic`).

        Raises `TooMuchError`, `ServiceError`, or another `EngineError` where nothing was asked.
        """
        seconds = min(self._timeout_seconds, deadline - time.monotonic())
        if seconds <= 0:
            raise EngineError(Reason.TIMEOUT, "no time was left to ask the service")
        response = self._post(
            self.url + path,
            json.dumps(request).encode(),
            headers={"Content-Type": "application/json", **headers},
            timeout_seconds=seconds,
        )
        body = _parsed(response.body)
        if response.status == _TOO_MUCH:
            raise TooMuchError(response.detail)
        if response.error or not isinstance(body, dict) or body.get("error"):
            raise self._error(response, body)
        return body

    def _error(self, response: Response, body: Any) -> ServiceError:
        said = _said(body)
        reason = response.error
        if reason:
            detail = f"{response.detail}: {said}" if said else response.detail
        else:
            detail = said or "the answer is no JSON object, or only the beginning of one"
        if self.key:
            detail = detail.replace(self.key, "…")
        lasting = response.permanent or reason in (Reason.CLIENT_ERROR, Reason.REDIRECTED)
        return ServiceError(
            response,
            body,
            reason or Reason.ENGINE_FAILED,
            detail[:_LONGEST_DETAIL],
            lasting=lasting,
        )


class ServiceEngine(ABC):
    """What the engines that are services do alike; each says how much it is asked at once."""

    name: str
    is_llm = False
    most_texts: int
    most_characters: int

    @abstractmethod
    def model(self, source: str, target: str) -> str:
        """As `Engine.model`."""

    @abstractmethod
    def ask(self, batch: Sequence[str], source: str, target: str, deadline: float) -> list[str]:
        """What the service makes of the texts, by `deadline` (of `time.monotonic`).

        Raises `TooMuchError` or `EngineError`.
        """

    def translate(
        self, texts: Sequence[str], source: str, target: str, *, seconds: float
    ) -> list[Translation]:
        """As `Engine.translate`."""
        deadline = time.monotonic() + seconds
        made = translated(
            texts,
            lambda batch: self.ask(batch, source, target, deadline),
            most_texts=self.most_texts,
            most_characters=self.most_characters,
        )
        model = self.model(source, target)
        return [Translation(text, self.name, model) for text in made]

    def close(self) -> None:  # noqa: B027 - nobody has to have more to let go of
        """Nothing is held."""


def translated(
    texts: Sequence[str],
    ask: Callable[[Sequence[str]], list[str]],
    *,
    most_texts: int,
    most_characters: int,
) -> list[str]:
    """What `ask` makes of the texts, in batches; one with which it cannot cope is halved.

    Blank texts are not asked about. A text that gives a `TooMuchError` even alone comes back empty,
    which no gate lets pass: it takes none of the others with it. Raises `EngineError`, among other
    things when that is so of all.
    """
    asked = [text for text in texts if text.strip()]
    troubles: list[TooMuchError] = []
    made = [
        one
        for batch in _batches(asked, most_texts, most_characters)
        for one in _halved(batch, ask, troubles)
    ]
    if troubles and not any(made):
        raise EngineError(Reason.ENGINE_FAILED, str(troubles[-1])[:_LONGEST_DETAIL])
    found = map(_storable, made)
    return [next(found) if text.strip() else "" for text in texts]


def strings(found: object, count: int, *, key: str | None = None) -> list[str]:
    """`found`, a list of `count` strings or of objects with such under `key`.

    Anything else raises `TooMuchError`.
    """
    if key is not None and isinstance(found, list):
        found = [one.get(key) if isinstance(one, dict) else None for one in found]
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise TooMuchError("the answer holds no list of texts")
    if len(found) != count:
        raise TooMuchError(f"{len(found)} texts came back for {count}")
    return found


def _storable(text: str) -> str:
    """Without what no store takes: NUL, and halves of characters, which JSON can hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _batches(
    texts: Sequence[str], most_texts: int, most_characters: int
) -> Iterator[Sequence[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and (len(batch) == most_texts or characters + len(text) > most_characters):
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def _halved(
    texts: Sequence[str], ask: Callable[[Sequence[str]], list[str]], troubles: list[TooMuchError]
) -> list[str]:
    try:
        return ask(texts)
    except TooMuchError as error:
        if len(texts) == 1:
            troubles.append(error)
            return [""]
    middle = len(texts) // 2
    return _halved(texts[:middle], ask, troubles) + _halved(texts[middle:], ask, troubles)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _said(body: Any) -> str:
    """The message in a service's error: `{"error": {"message"}}`, `{"error"}` or `{"message"}`."""
    if not isinstance(body, dict):
        return ""
    error = body.get("error") or body
    message = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    return " ".join(str(message).split()) if message else ""
