"""Have a language model choose the sentences of a summary, by their numbers: it can invent none."""

import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from worker.language.summarize import Summary, candidates, chosen, longest
from worker.language.translate import prompts
from worker.language.translate.chat import Chat
from worker.language.translate.engines import EngineError
from worker.language.translate.limits import Rate, Rests
from worker.language.translate.services import Post, TooMuchError, counted
from worker.reasons import Reason
from worker.settings import Settings

_MOST_SENTENCES, _MOST_CHARACTERS = 30, 3_000  # that the model is shown
_FEWEST = 2  # sentences of a summary, where it may have as many
_MOST_TOKENS = 1_000  # some models think first
_LEAST_SECONDS = 1.0  # with less, the server is not asked
_WHO = ("openai", "", "")  # rests

_log = logging.getLogger(__name__)


class Selector:
    """The model of `translate.openai`, which is left alone as an engine is; for one thread."""

    def __init__(
        self, settings: Settings, post: Post, clock: Callable[[], float] = time.monotonic
    ) -> None:
        server = settings.translate.openai
        self._settings = settings.process
        self._rate = Rate(server.requests_per_minute)
        self._chat = Chat(server, counted(post, self._rate))
        self._rests = Rests()
        self._clock = clock

    def select(
        self, text: str, language: str | None, title: str, *, seconds: float
    ) -> Summary | None:
        """A summary of sentences from the beginning of `text`, chosen within `seconds`.

        None, and a line in the log, where none was to be had; None where there is nothing to choose
        from.
        """
        sentences = _shown(text, language, title)
        if len(sentences) <= self._fewest:
            return None
        try:
            self._refuse_to_disturb(seconds)
            return self._asked(sentences, seconds)
        except EngineError as error:
            _log.warning("the summary stays as it was: %s", error)
            return None

    @property
    def _fewest(self) -> int:
        return min(_FEWEST, self._settings.summary_sentences)

    def _asked(self, sentences: Sequence[str], seconds: float) -> Summary:
        """What the model chose. Raises `EngineError`; three in a row, and it rests."""
        try:
            summary = self._chosen(sentences, time.monotonic() + seconds)
        except EngineError as error:
            failed = error
        except (TooMuchError, TimeoutError) as error:
            failed = EngineError(Reason.ENGINE_FAILED, str(error) or "no answer in time")
        else:
            self._rests.answered(_WHO[0])
            return summary
        self._rests.failed(*_WHO, failed, self._clock())
        raise failed

    def _chosen(self, sentences: Sequence[str], deadline: float) -> Summary:
        count, fewest = len(sentences), self._fewest
        most = min(self._settings.summary_sentences, count)
        room = longest(sentences[0], self._settings)
        messages = prompts.selection(sentences, fewest, most, room, secrets.token_hex(8))
        schema = _schema(count, fewest, most)
        said = self._chat.ask(messages, schema, _MOST_TOKENS, deadline)
        numbers = _numbers(said, count, fewest)
        summary = chosen([sentences[number - 1] for number in numbers], self._settings)
        if summary is None:
            raise TooMuchError("the model chose more than a summary may hold")
        return summary

    def _refuse_to_disturb(self, seconds: float) -> None:
        """Raise `EngineError` where the server is not to be asked now."""
        now = self._clock()
        if rest := self._rests.of(*_WHO, now):
            left = rest.left(now).total_seconds()
            raise EngineError(rest.error.reason, f"it rests for {left:.0f} s: {rest.error}")
        if self._rate.left(now):
            raise EngineError(Reason.RATE_LIMITED, "asked as often as the settings allow")
        if seconds < _LEAST_SECONDS:
            raise EngineError(Reason.TIMEOUT, "no time was left to ask it")


def _shown(text: str, language: str | None, title: str) -> list[str]:
    sentences = candidates(text, language, title, _MOST_SENTENCES)
    lengths = accumulate(map(len, sentences))
    return [
        sentence
        for sentence, length in zip(sentences, lengths, strict=True)
        if length <= _MOST_CHARACTERS
    ]


def _schema(count: int, fewest: int, most: int) -> dict[str, Any]:
    numbers = {
        "type": "array",
        "items": {"type": "integer", "enum": list(range(1, count + 1))},
        "minItems": fewest,
        "maxItems": most,
    }
    return {
        "type": "object",
        "properties": {"sentences": numbers},
        "required": ["sentences"],
        "additionalProperties": False,
    }


def _numbers(said: str, count: int, fewest: int) -> list[int]:
    """The numbers of the one JSON list in `said`, in order; else raises `TooMuchError`."""
    try:
        found = json.loads(said[said.index("[") : said.rindex("]") + 1])
    except (ValueError, RecursionError):
        raise TooMuchError("the model's answer holds no JSON list") from None
    if not all(type(one) is int and 0 < one <= count for one in found):
        raise TooMuchError("the model's answer holds something else than numbers of sentences")
    if len(set(found)) < max(fewest, len(found)):
        raise TooMuchError("the model chose too few sentences, or one twice")
    return sorted(found)
