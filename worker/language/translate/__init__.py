"""Translate titles and summaries. Engines share one interface and are tried in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from worker.reasons import Reason
from worker.settings import TranslateSettings


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated text, which engine and model made it, and what is doubtful about it."""

    text: str
    engine: str
    model: str
    flags: tuple[str, ...] = ()


class Engine(Protocol):
    """A translator. It says which language pairs it knows, and is asked for those alone."""

    name: str

    def knows(self, source: str, target: str) -> bool:
        """Whether it translates from `source` into `target` (BCP 47 primary tags)."""

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate each text; as many come back as went in, in their order."""


class NoEngine:
    """The engine `none`: knows no language pair, so that every text stays as it is."""

    name = "none"

    def knows(self, source: str, target: str) -> bool:
        """Whatever the pair: no."""
        return False

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Nobody may ask for this: it knows no pair."""
        raise ValueError(f"the engine `none` was asked to translate {source} to {target}")


@dataclass(frozen=True, slots=True)
class Texts:
    """What is to be translated of one article."""

    article_id: int
    language: str | None
    title: str
    summary: str


@dataclass(frozen=True, slots=True)
class TranslateOutcome:
    """Title and summary by target language; None where a target could not be served.

    `reason` then says why; the article is published in its own language, and marked so.
    """

    article_id: int
    due_at: datetime
    translations: Mapping[str, tuple[Translation, Translation] | None]
    reason: Reason | None

    @property
    def status(self) -> str:
        """`translated`, or `untranslated` when any target is missing."""
        return "untranslated" if self.reason else "translated"


def engines(settings: TranslateSettings) -> list[Engine]:
    """The engines that are set up, in order of preference."""
    return [_ENGINES[name]() for name in settings.engines]


def translate(
    texts: Texts, available: Sequence[Engine], targets: Sequence[str], now: datetime
) -> TranslateOutcome:
    """Translate an article's texts into each target language that is not its own."""
    found: dict[str, tuple[Translation, Translation] | None] = {}
    for target in targets:
        if target == texts.language:
            continue
        found[target] = _into(texts, available, target)
    reason = None
    if None in found.values():
        reason = Reason.NO_ENGINE if texts.language else Reason.LANGUAGE_UNKNOWN
    return TranslateOutcome(texts.article_id, now, found, reason)


def crashed(texts: Texts, targets: Sequence[str], now: datetime) -> TranslateOutcome:
    """The outcome for an article whose translation took its process down, time and again."""
    missing = {target: None for target in targets if target != texts.language}
    return TranslateOutcome(texts.article_id, now, missing, Reason.CRASHED)


def _into(
    texts: Texts, available: Sequence[Engine], target: str
) -> tuple[Translation, Translation] | None:
    source = texts.language
    if source is None:
        return None
    for engine in available:
        if engine.knows(source, target):
            title, summary = engine.translate([texts.title, texts.summary], source, target)
            return title, summary
    return None


_ENGINES: Mapping[str, type[NoEngine]] = {"none": NoEngine}
