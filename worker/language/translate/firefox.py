"""The engine `firefox`: Firefox Translations' models, run on this machine by fxtranslate."""

import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from worker.language.translate import downloads
from worker.language.translate.engines import EngineError, Translation
from worker.language.translate.models import LIST, Models
from worker.language.translate.parent import (
    Child,
    ChildEndedError,
    ChildFailedError,
    ChildTimeoutError,
)
from worker.language.translate.pieces import is_told, put_together, take_apart
from worker.language.translate.records import Model, ModelError, Pair, route
from worker.reasons import Reason
from worker.settings import FirefoxSettings, HttpSettings

_FETCH_WAIT_SECONDS = 15.0
_CHILDREN_A_TEXT = 2
_BETWEEN_FETCHES = timedelta(minutes=5)

_log = logging.getLogger(__name__)


class Firefox:
    """Translates in a child process of its own, one sentence at a time; used from one thread.

    `directory` is where the models lie. A model that is not there is
    fetched in the background when the settings allow it, at most every few minutes.
    """

    name = "firefox"
    is_llm = False

    def __init__(
        self,
        settings: FirefoxSettings,
        directory: Path,
        http: HttpSettings | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._http = http or HttpSettings()
        self._clock = clock
        self._models = Models(directory)
        self._child = Child(settings.max_models)
        self._installed: dict[Pair, Model] = {}
        self._fetching: _Fetching | None = None
        self._fetched_at: dict[Pair, datetime] = {}

    def model(self, source: str, target: str) -> str:
        """Which models translate the pair, as far as known; does no I/O."""
        legs = self._legs(source, target)
        return " + ".join(model.label for model in legs) or f"{source}-{target}"

    def knows(self, source: str, target: str) -> bool:
        """Whether there are models for the pair, or they can be fetched. Reads small files only."""
        if importlib.util.find_spec("fxtranslate") is None:
            return False
        now = self._clock()
        self._installed = self._models.installed()
        if legs := self._legs(source, target):
            return not any(self._models.is_resting(_use_of(model), now) for model in legs)
        return self._settings.fetch and self._can_be_fetched(source, target, now)

    def translate(
        self, texts: Sequence[str], source: str, target: str, *, seconds: float
    ) -> list[Translation]:
        """Translate each text, within `seconds` in all; paragraphs stay.

        A text that has brought the child down twice comes back empty, as does one of which a
        sentence was lost. Raises `EngineError`.
        """
        deadline = time.monotonic() + min(seconds, self._settings.timeout_seconds)
        legs = self._ready(source, target, deadline)
        label = self.model(source, target)
        try:
            # Loaded by itself, so that what a bad model does is not laid at a text's door.
            self._ask(legs, [], deadline)
        except ChildEndedError as error:
            raise EngineError(Reason.ENGINE_FAILED, f"fxtranslate: {error}") from None
        return [
            Translation(self._text(legs, text, source, target, deadline), self.name, label)
            for text in texts
        ]

    def close(self) -> None:
        """End the child."""
        self._child.close()

    def _legs(self, source: str, target: str) -> list[Model]:
        return [self._installed[pair] for pair in route(self._installed, source, target)]

    def _ready(self, source: str, target: str, deadline: float) -> list[Model]:
        """The models of the pair; raises `EngineError` when one is not there."""
        self._installed = self._models.installed()
        if legs := self._legs(source, target):
            return legs
        self._fetch(source, target, deadline)
        self._installed = self._models.installed()
        if legs := self._legs(source, target):
            return legs
        raise _missing(source, target, "was fetched, but is not there")

    def _text(
        self, legs: Sequence[Model], text: str, source: str, target: str, deadline: float
    ) -> str:
        pieces = take_apart(text, source)
        made = list(pieces.sentences)
        told = [place for place, sentence in enumerate(made) if is_told(sentence)]
        for place, sentence in zip(
            told, self._sentences(legs, [made[place] for place in told], deadline), strict=True
        ):
            made[place] = sentence
        return put_together(pieces, made, target)

    def _sentences(
        self, legs: Sequence[Model], sentences: Sequence[str], deadline: float
    ) -> list[str]:
        if not sentences:
            return []
        for _ in range(_CHILDREN_A_TEXT):
            try:
                return self._ask(legs, sentences, deadline)
            except ChildEndedError as error:
                _log.warning("fxtranslate failed on a text: %s", error)
        return [""] * len(sentences)

    def _ask(self, legs: Sequence[Model], sentences: Sequence[str], deadline: float) -> list[str]:
        """What the child makes of them. Raises `ChildEndedError` or `EngineError`."""
        try:
            return self._child.translate([self._spec(model) for model in legs], sentences, deadline)
        except ChildTimeoutError as error:
            raise EngineError(Reason.TIMEOUT, f"fxtranslate: {error}") from None
        except OSError as error:
            raise EngineError(Reason.ENGINE_FAILED, f"fxtranslate: {error.strerror}") from None
        except ChildFailedError as error:
            raise self._explain(error, legs) from None

    def _explain(
        self, error: ChildFailedError, legs: Sequence[Model]
    ) -> EngineError | ChildEndedError:
        if error.error == "broken":
            return ChildEndedError(str(error))
        if error.error == "not_installed":
            return EngineError(Reason.ENGINE_FAILED, str(error), lasting=True)
        model = next(one for one in legs if one.name == error.model)
        if error.error == "damaged":
            self._models.discard_damaged(model)
            return EngineError(Reason.MODEL_MISSING, f"{model.label}: {error}")
        self._models.note_failure(_use_of(model), str(error), self._clock())
        return EngineError(Reason.ENGINE_FAILED, f"{model.label}: {error}", lasting=True)

    def _spec(self, model: Model) -> dict[str, Any]:
        files = (
            model.file("model"),
            model.file("vocab", "srcvocab"),
            model.file("vocab", "trgvocab"),
        )
        return {
            "name": model.name,
            "files": [[str(self._models.path(model, file)), file.sha256] for file in files],
        }

    def _can_be_fetched(self, source: str, target: str, now: datetime) -> bool:
        listed = self._models.listed()
        if legs := route(listed, source, target):
            return not any(self._models.is_resting(listed[pair].name, now) for pair in legs)
        return not self._models.list_is_fresh(now) and not self._models.is_resting(LIST, now)

    def _fetch(self, source: str, target: str, deadline: float) -> None:
        """Begin to fetch the models of the pair, or go on; return when they are there.

        Raises `EngineError` when they cannot be had, or not at once.
        """
        fetching = self._fetching
        if fetching is None or fetching.is_over:
            fetching = self._fetching = self._begin(source, target)
        if fetching.languages != (source, target):
            raise _missing(source, target, "is not there; another one is being fetched", soon=True)
        fetching.wait(min(_FETCH_WAIT_SECONDS, deadline - time.monotonic()))
        if not fetching.is_over:
            raise _missing(source, target, "is being fetched", soon=True)
        self._fetching = None
        if fetching.error:
            raise _missing(source, target, f"could not be fetched: {fetching.error}")

    def _begin(self, source: str, target: str) -> "_Fetching":
        if not self._settings.fetch:
            raise _missing(source, target, "is not there, and none is fetched by itself")
        now = self._clock()
        last = self._fetched_at.get((source, target))
        if (last and last <= now < last + _BETWEEN_FETCHES) or not self._can_be_fetched(
            source, target, now
        ):
            raise _missing(source, target, "is not there, and cannot be fetched now")
        self._fetched_at[source, target] = now
        return _Fetching(
            (source, target),
            lambda: downloads.fetch(self._models, self._settings, self._http, source, target, now),
        )


class _Fetching:
    """Models on their way, in a thread of their own."""

    def __init__(self, languages: Pair, work: Callable[[], None]) -> None:
        self.languages = languages
        self.error = ""
        self._work = work
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        self._thread.join(max(0.0, seconds))

    def _run(self) -> None:
        try:
            self._work()
        except ModelError as error:
            self.error = str(error)
            _log.warning("no model from %s to %s: %s", *self.languages, error)


def _use_of(model: Model) -> str:
    """The key under which it is noted that this very model could not be used."""
    return f"{model.name}-{model.file('model').sha256[:12]}"


def _missing(source: str, target: str, what: str, *, soon: bool = False) -> EngineError:
    return EngineError(
        Reason.MODEL_MISSING,
        f"the model from {source} to {target} {what}",
        retry_after=timedelta(seconds=_FETCH_WAIT_SECONDS) if soon else None,
        lasting=not soon,
    )
