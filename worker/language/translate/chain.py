"""The engines in their order: what one cannot do, or does badly, goes on to the next."""

import hashlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Literal, Protocol

from worker.language.judge import Verdict, judge
from worker.language.targets import needed
from worker.language.translate.deepl import DeepL
from worker.language.translate.engines import Engine, EngineError, Translation
from worker.language.translate.firefox import Firefox
from worker.language.translate.google import Google
from worker.language.translate.libretranslate import LibreTranslate
from worker.language.translate.limits import Portions, Rate, Rests
from worker.language.translate.local_llm import LocalLlm
from worker.language.translate.openai import OpenAi
from worker.language.translate.records import Pair
from worker.language.translate.services import Post, counted
from worker.reasons import Reason
from worker.settings import Settings, TranslateSettings

Judge = Callable[..., Verdict]
"""As `worker.language.judge.judge`."""

_ARTICLES_A_CALL = 8  # sixteen texts: outcomes come in groups, and one call is soon over
_LEAST_SECONDS = 1.0  # with less, an engine is not asked any more
_NO_RATES: Mapping[str, Rate] = MappingProxyType({})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Texts:
    """What is to be translated of one article; `language` is a BCP 47 tag."""

    article_id: int
    language: str | None
    title: str
    summary: str


@dataclass(frozen=True, slots=True)
class TranslateOutcome:
    """Title and summary by target language, None where that one could not be served.

    `reason` and `detail` then say why. With `retry` nothing lasting stands against it: the article
    is to be asked about again, not before `retry_after` where that is known.
    """

    article_id: int
    result: Literal["translated", "untranslated", "retry"]
    translations: Mapping[str, tuple[Translation, Translation] | None]
    reason: Reason | None = None
    detail: str = ""
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """What a translation is kept under; `text_hash` is the SHA-256 of the text, in hex."""

    engine: str
    model: str
    source: str
    target: str
    text_hash: str


class Cache(Protocol):
    """Translations that passed the judge, kept."""

    def find(self, keys: Sequence[Key]) -> Mapping[Key, Translation]:
        """Those that are there."""

    def keep(self, items: Mapping[Key, Translation]) -> None:
        """Keep them; one that is there already is replaced, or stays."""


def open_chain(settings: Settings, post: Post, cache: Cache) -> "Chain":
    """The engines that are set up, in their order; `post` is how services are asked."""
    mine = settings.translate
    directory = settings.models_dir
    rates = {
        "openai": Rate(mine.openai.requests_per_minute),
        "libretranslate": Rate(mine.libretranslate.requests_per_minute),
        "deepl": Rate(mine.deepl.requests_per_minute),
        "google": Rate(mine.google.requests_per_minute),
    }
    makers: dict[str, Callable[[], Engine]] = {
        "firefox": lambda: Firefox(mine.firefox, directory, settings.http),
        "local-llm": lambda: LocalLlm(mine.local_llm, directory),
        "openai": lambda: OpenAi(mine.openai, counted(post, rates["openai"])),
        "libretranslate": lambda: LibreTranslate(
            mine.libretranslate, counted(post, rates["libretranslate"])
        ),
        "deepl": lambda: DeepL(mine.deepl, counted(post, rates["deepl"])),
        "google": lambda: Google(mine.google, counted(post, rates["google"])),
    }
    engines = [makers[name]() for name in dict.fromkeys(mine.engines) if name != "none"]
    return Chain(engines, mine, cache, rates=rates)


def crashed(texts: Texts, targets: Sequence[str]) -> TranslateOutcome:
    """The outcome for an article whose translation took its process down, time and again."""
    return _without_any(texts, needed(texts.language, targets), Reason.CRASHED)


class Chain:
    """Engines in order of preference, with what each of them has to be spared; for one thread.

    `rates` are how often an engine may be asked, by its name: who makes the requests counts them,
    by `clock`.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        settings: TranslateSettings,
        cache: Cache,
        clock: Callable[[], float] = time.monotonic,
        *,
        judge: Judge = judge,
        rates: Mapping[str, Rate] = _NO_RATES,
    ) -> None:
        self._engines = engines
        self._targets = settings.targets
        self._cache = cache
        self._clock = clock
        self._judge = judge
        self._rates = rates
        self._rests = Rests()
        self._portions = Portions()

    def knows(self, source: str, target: str) -> bool:
        """Whether any engine translates the pair, as `Engine.knows`."""
        return any(_knows(engine, source, target) for engine in self._engines)

    def translate(self, texts: Sequence[Texts], seconds: float) -> Iterator[TranslateOutcome]:
        """The outcome of each article as soon as it is known, in whatever order.

        After `seconds` no engine is asked any more; of articles that were not reached nothing is
        said, but what was translated of them is kept in the cache.
        """
        deadline = self._clock() + seconds
        articles: list[_Article] = []
        for one in texts:
            wanted = needed(one.language, self._targets)
            if not wanted:
                yield TranslateOutcome(one.article_id, "translated", {})
            elif not one.language:
                yield _without_any(one, wanted, Reason.LANGUAGE_UNKNOWN)
            else:
                articles.append(_Article(one, wanted))
        for pair, jobs in _batches(articles):
            if deadline - self._clock() < _LEAST_SECONDS:
                return
            self._serve(jobs, pair, deadline)
            yield from [job.article.outcome() for job in jobs if job.article.is_over]

    def close(self) -> None:
        """Close the engines."""
        for engine in self._engines:
            try:
                engine.close()
            except Exception:  # noqa: BLE001 - the others are closed all the same
                _log.exception("the engine %s could not be closed", engine.name)

    def _serve(self, jobs: Sequence["_Job"], pair: Pair, deadline: float) -> None:
        """Have each engine translate what those before it did not."""
        passed: dict[str, str] = {}  # by text, what an engine made of it that the judge let pass
        left = list(jobs)
        for engine in self._engines:
            if left and _knows(engine, *pair):
                texts = list(dict.fromkeys(text for job in left for text in job.article.both))
                answer = self._ask(engine, texts, pair, deadline, passed)
                left = [job for job in left if not job.take(answer)]
                passed.update((text, made.text) for text, made in answer.accepted.items())
        for job in left:
            job.leave(f"no engine translates from {pair[0]} to {pair[1]}")

    def _ask(
        self,
        engine: Engine,
        texts: Sequence[str],
        pair: Pair,
        deadline: float,
        passed: Mapping[str, str],
    ) -> "_Answer":
        answer = _Answer(engine.name, self._remembered(engine, texts, pair))
        wanted = [text for text in texts if text not in answer.accepted]
        while wanted and (answer.error is None or answer.error.reason is Reason.TIMEOUT):
            size = self._portions.of(engine.name, len(wanted))
            portion, wanted = wanted[:size], wanted[size:]
            try:
                made = self._made(engine, portion, pair, deadline)
            except EngineError as error:
                answer.error = error
            else:
                self._weigh(engine, zip(portion, made, strict=True), pair, passed, answer)
        return answer

    def _weigh(
        self,
        engine: Engine,
        made: Iterable[tuple[str, Translation]],
        pair: Pair,
        passed: Mapping[str, str],
        answer: "_Answer",
    ) -> None:
        """Have what an engine made of each text judged, and keep what may be shown."""
        fresh: dict[Key, Translation] = {}
        for text, one in made:
            verdict = self._judge(
                text, one.text, *pair, is_llm=engine.is_llm, second=passed.get(text)
            )
            if verdict.hard:
                answer.rejected[text] = verdict.hard
            else:
                flags = tuple(dict.fromkeys((*one.flags, *verdict.soft)))
                accepted = replace(one, text=verdict.text, flags=flags)
                answer.accepted[text] = fresh[_key(engine, one.model, pair, text)] = accepted
        if fresh:
            self._cache.keep(fresh)

    def _remembered(
        self, engine: Engine, texts: Sequence[str], pair: Pair
    ) -> dict[str, Translation]:
        """What the engine need not be asked: blank texts, and what it was asked before."""
        model = engine.model(*pair)
        known = {text: Translation("", engine.name, model) for text in texts if not text.strip()}
        keys = {text: _key(engine, model, pair, text) for text in texts if text not in known}
        found = self._cache.find(list(keys.values())) if keys else {}
        return known | {text: found[key] for text, key in keys.items() if key in found}

    def _made(
        self, engine: Engine, texts: Sequence[str], pair: Pair, deadline: float
    ) -> list[Translation]:
        """What the engine makes of the texts, if it may be asked. Raises `EngineError`."""
        now = self._clock()
        if rest := self._rests.of(engine.name, *pair, now):
            raise _again(rest.error, rest.left(now))
        rate = self._rates.get(engine.name)
        if rate and (wait := rate.left(now)):
            raise EngineError(Reason.RATE_LIMITED, "asked as often as the settings allow", wait)
        if deadline - now < _LEAST_SECONDS:
            raise EngineError(Reason.TIMEOUT, "no time was left to ask it")
        try:
            made = _translated(engine, texts, pair, deadline - now)
        except EngineError as error:
            _log.warning("%s, from %s to %s: %s", engine.name, *pair, error)
            now = self._clock()
            self._portions.failed(engine.name, len(texts), error)
            self._rests.failed(engine.name, *pair, error, now)
            rest = self._rests.of(engine.name, *pair, now)
            raise (_again(error, rest.left(now)) if rest else error) from None
        self._rests.answered(engine.name)
        self._portions.answered(engine.name, self._clock() - now)
        return made


@dataclass(slots=True)
class _Answer:
    """What an engine said to a batch, by text; `error` says why it said nothing to the others."""

    engine: str
    accepted: dict[str, Translation]
    rejected: dict[str, tuple[str, ...]] = field(default_factory=dict)
    error: EngineError | None = None


@dataclass(slots=True, eq=False)
class _Article:
    """An article on its way: what it has by now, and what stood against the rest."""

    texts: Texts
    needed: Sequence[str]
    translations: dict[str, tuple[Translation, Translation] | None] = field(default_factory=dict)
    troubles: list[EngineError] = field(default_factory=list)

    @property
    def both(self) -> tuple[str, str]:
        return self.texts.title, self.texts.summary

    @property
    def is_over(self) -> bool:
        return len(self.translations) == len(self.needed)

    def outcome(self) -> TranslateOutcome:
        """What came of it; of several troubles, one that passes counts, then the judge's word."""
        article_id, made = self.texts.article_id, self.translations
        if None not in made.values():
            return TranslateOutcome(article_id, "translated", made)
        passing = [trouble for trouble in self.troubles if not trouble.lasting]
        if passing:
            waits = [one.retry_after for one in passing if one.retry_after is not None]
            soonest = min(waits) if len(waits) == len(passing) else None
            first = passing[0]
            return TranslateOutcome(article_id, "retry", made, first.reason, first.detail, soonest)
        first = min(self.troubles, key=lambda trouble: trouble.reason is not Reason.REJECTED)
        return TranslateOutcome(article_id, "untranslated", made, first.reason, first.detail)


@dataclass(slots=True, eq=False)
class _Job:
    """An article's texts, to be translated into one language."""

    article: _Article
    target: str
    troubles: list[EngineError] = field(default_factory=list)

    def take(self, answer: _Answer) -> bool:
        """Whether the answer has both texts, which then are the article's."""
        title, summary = map(answer.accepted.get, self.article.both)
        if title and summary:
            self.article.translations[self.target] = title, summary
            return True
        said = [
            f"{name}: {', '.join(answer.rejected[text])}"
            for name, text in zip(("title", "summary"), self.article.both, strict=True)
            if text in answer.rejected
        ]
        if said:
            detail = f"{answer.engine}: {'; '.join(said)}"
            self.troubles.append(EngineError(Reason.REJECTED, detail, lasting=True))
        elif error := answer.error:
            self.troubles.append(
                EngineError(
                    error.reason,
                    f"{answer.engine}: {error.detail}",
                    error.retry_after,
                    error.lasting,
                )
            )
        return False

    def leave(self, detail: str) -> None:
        """Give the target up; `detail` is said where no engine was asked."""
        self.article.translations[self.target] = None
        self.article.troubles += self.troubles or [
            EngineError(Reason.NO_ENGINE, detail, lasting=True)
        ]


def _batches(articles: Sequence[_Article]) -> Iterator[tuple[Pair, list[_Job]]]:
    jobs_by_pair: dict[Pair, list[_Job]] = defaultdict(list)
    for article in articles:
        for target in article.needed:
            pair = article.texts.language or "", target
            jobs_by_pair[pair].append(_Job(article, target))
    for pair, jobs in jobs_by_pair.items():
        for start in range(0, len(jobs), _ARTICLES_A_CALL):
            yield pair, jobs[start : start + _ARTICLES_A_CALL]


def _without_any(texts: Texts, needed: Sequence[str], reason: Reason) -> TranslateOutcome:
    return TranslateOutcome(texts.article_id, "untranslated", dict.fromkeys(needed), reason)


def _key(engine: Engine, model: str, pair: Pair, text: str) -> Key:
    text_hash = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Key(engine.name, model, *pair, text_hash)


def _knows(engine: Engine, source: str, target: str) -> bool:
    try:
        return engine.knows(source, target)
    except Exception:  # noqa: BLE001 - the next one may
        _log.exception("the engine %s cannot say what it knows", engine.name)
        return False


def _translated(
    engine: Engine, texts: Sequence[str], pair: Pair, seconds: float
) -> list[Translation]:
    """What the engine says; whatever else it does is an `EngineError` too."""
    try:
        made = engine.translate(texts, *pair, seconds=seconds)
    except EngineError:
        raise
    except Exception as error:
        _log.exception("the engine %s broke", engine.name)
        raise EngineError(Reason.ENGINE_FAILED, f"{type(error).__name__}: {error}") from error
    if len(made) != len(texts):
        detail = f"{len(made)} texts came back for {len(texts)}"
        raise EngineError(Reason.ENGINE_FAILED, detail)
    return made


def _again(error: EngineError, left: timedelta) -> EngineError:
    """The error of an engine that rests, as of now."""
    return EngineError(error.reason, error.detail, left, error.lasting)
