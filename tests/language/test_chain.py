"""The chain of engines, with small real ones: dictionaries of words, some of them ill."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tests.servers.api import Answer, Api, Request, post
from worker.language.judge import Verdict
from worker.language.translate import (
    Cache,
    Chain,
    EngineError,
    Key,
    Texts,
    TranslateOutcome,
    Translation,
    crashed,
    open_chain,
)
from worker.language.translate.limits import Rate
from worker.reasons import Reason
from worker.settings import HttpEngineSettings, Settings, TranslateSettings

NEWS = Texts(7, "id", "air sungai naik", "air naik lagi")
WORDS = {"air": "water", "sungai": "river", "naik": "rises", "lagi": "again"}
BROKEN = EngineError(Reason.SERVER_ERROR, "500")
NO_KEY = EngineError(Reason.UNAUTHORIZED, "401", lasting=True)
NO_MODEL = EngineError(Reason.MODEL_MISSING, "none is there", lasting=True)

Does = Callable[[Sequence[str]], list[str]]


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Dictionary:
    """Translates word by word; `ills` are what it does instead, call by call, the last for good."""

    def __init__(
        self,
        name: str = "dictionary",
        pairs: Iterable[tuple[str, str]] = (("id", "en"),),
        ills: Iterable[Exception | Does | None] = (),
        *,
        is_llm: bool = False,
        flags: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.is_llm = is_llm
        self.asked: list[list[str]] = []
        self.seconds: list[float] = []
        self.is_closed = False
        self._pairs = set(pairs)
        self._ills = list(ills)
        self._flags = flags

    def model(self, source: str, target: str) -> str:
        return f"{self.name}-{source}-{target}"

    def knows(self, source: str, target: str) -> bool:
        return (source, target) in self._pairs

    def translate(
        self, texts: Sequence[str], source: str, target: str, *, seconds: float
    ) -> list[Translation]:
        assert self.knows(source, target)
        self.asked.append(list(texts))
        self.seconds.append(seconds)
        ill = (self._ills.pop(0) if len(self._ills) > 1 else self._ills[0]) if self._ills else None
        if isinstance(ill, Exception):
            raise ill
        made = ill(texts) if ill else [by_word(text) for text in texts]
        model = self.model(source, target)
        return [Translation(text, self.name, model, self._flags) for text in made]

    def close(self) -> None:
        self.is_closed = True


class Memory:
    """A cache that forgets when the test ends."""

    def __init__(self) -> None:
        self.kept: dict[Key, Translation] = {}
        self.sought: list[Key] = []

    def find(self, keys: Sequence[Key]) -> Mapping[Key, Translation]:
        self.sought += keys
        return {key: self.kept[key] for key in keys if key in self.kept}

    def keep(self, items: Mapping[Key, Translation]) -> None:
        self.kept.update(items)


class Judge:
    """Lets nothing pass that is blank or holds BAD, and marks what holds SO-SO."""

    def __init__(self) -> None:
        self.seconds: list[str | None] = []

    def __call__(
        self,
        source_text: str,
        output: str,
        source: str,
        target: str,
        *,
        is_llm: bool = False,
        second: str | None = None,
    ) -> Verdict:
        if is_llm:
            self.seconds.append(second)
        soft = ("numbers",) if "SO-SO" in output else ()
        hard = ("repetition",) if "BAD" in output else () if output.strip() else ("empty",)
        return Verdict(output.strip(), hard, soft)


def by_word(text: str) -> str:
    return " ".join(WORDS.get(word, word) for word in text.split())


def bad_about(part: str) -> Does:
    """Translates all but what holds `part`."""
    return lambda texts: ["BAD" if part in text else by_word(text) for text in texts]


def chain(
    *engines: Any,
    targets: Sequence[str] = ("en",),
    cache: Cache | None = None,
    clock: Clock | None = None,
    **options: Any,
) -> Chain:
    settings = TranslateSettings(targets=tuple(targets))
    options.setdefault("judge", Judge())
    return Chain(engines, settings, cache or Memory(), clock or Clock(), **options)


def only(chained: Chain, texts: Texts = NEWS, seconds: float = 60) -> TranslateOutcome:
    (outcome,) = chained.translate([texts], seconds)
    return outcome


def said(outcome: TranslateOutcome, target: str = "en") -> tuple[str, str, str]:
    pair = outcome.translations[target]
    assert pair
    title, summary = pair
    assert title.engine == summary.engine
    return title.text, summary.text, title.engine


def seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


def many(count: int) -> list[Texts]:
    return [Texts(number, "id", f"air {number}", f"naik {number}") for number in range(count)]


def test_each_target_gets_title_and_summary() -> None:
    french = Dictionary("french", [("id", "fr")], flags=("draft",))
    outcome = only(chain(french, Dictionary(), targets=["en", "fr"]))
    assert outcome == TranslateOutcome(
        7,
        "translated",
        {
            "en": (
                Translation("water river rises", "dictionary", "dictionary-id-en"),
                Translation("water rises again", "dictionary", "dictionary-id-en"),
            ),
            "fr": (
                Translation("water river rises", "french", "french-id-fr", ("draft",)),
                Translation("water rises again", "french", "french-id-fr", ("draft",)),
            ),
        },
    )


def test_the_first_engine_that_knows_the_pair_is_asked_and_no_other() -> None:
    french, first, second = (
        Dictionary("french", [("id", "fr")]),
        Dictionary("first"),
        Dictionary("second"),
    )
    assert said(only(chain(french, first, second)))[2] == "first"
    assert (french.asked, second.asked) == ([], [])
    assert first.seconds == [60.0]


@pytest.mark.parametrize(
    ("language", "targets", "needed"),
    [
        ("id", ["id"], []),
        ("pt", ["pt-BR"], []),
        ("en-GB", ["en-US", "id"], ["id"]),
        ("fil", ["fi"], ["fi"]),
        ("zh", ["zh-Hant"], []),
        ("zh-TW", ["zh-Hant"], []),
        ("zh-Hans", ["zh-Hant"], ["zh-Hant"]),
        ("zh-Hant-TW", ["zh-Hant"], []),
        ("id", ["en", "en"], ["en"]),
    ],
)
def test_its_own_language_is_no_target(
    language: str, targets: list[str], needed: list[str]
) -> None:
    engine = Dictionary(pairs=[(language, target) for target in targets])
    outcome = only(chain(engine, targets=targets), Texts(7, language, "air", "naik"))
    assert (outcome.result, list(outcome.translations)) == ("translated", needed)
    assert len(engine.asked) == len(needed)


def test_without_an_engine_it_stays_and_says_why() -> None:
    outcome = only(chain(Dictionary("french", [("id", "fr")])))
    assert outcome == TranslateOutcome(
        7, "untranslated", {"en": None}, Reason.NO_ENGINE, "no engine translates from id to en"
    )


def test_one_missing_target_is_told_and_the_others_are_kept() -> None:
    outcome = only(chain(Dictionary(), targets=["fr", "en"]))
    assert said(outcome)[0] == "water river rises"
    assert outcome.translations["fr"] is None
    assert (outcome.result, outcome.reason) == ("untranslated", Reason.NO_ENGINE)


def test_a_language_that_is_not_known() -> None:
    outcome = only(chain(Dictionary(), targets=["en", "id"]), Texts(7, None, "x", "y"))
    assert outcome.translations == {"en": None, "id": None}
    assert (outcome.result, outcome.reason) == ("untranslated", Reason.LANGUAGE_UNKNOWN)


def test_one_that_takes_its_process_down() -> None:
    assert crashed(NEWS, ["en", "id"]) == TranslateOutcome(
        7, "untranslated", {"en": None}, Reason.CRASHED
    )


@pytest.mark.parametrize("part", ["sungai", "lagi"])
def test_what_the_judge_rejects_goes_on_to_the_next_engine_title_and_summary(part: str) -> None:
    first, second = Dictionary("first", ills=[bad_about(part)]), Dictionary("second")
    other = Texts(8, "id", "air", "naik")
    outcomes = {one.article_id: one for one in chain(first, second).translate([NEWS, other], 60)}
    assert said(outcomes[7]) == ("water river rises", "water rises again", "second")
    assert said(outcomes[8]) == ("water", "rises", "first")
    assert second.asked == [[NEWS.title, NEWS.summary]]


def test_what_no_engine_does_well_stays_and_says_what_was_wrong() -> None:
    ill = [bad_about("sungai")]
    outcome = only(chain(Dictionary("first", ills=ill), Dictionary("second", ills=ill)))
    assert (outcome.result, outcome.reason) == ("untranslated", Reason.REJECTED)
    assert outcome.detail == "first: title: repetition"


def test_what_is_doubtful_is_kept_with_a_mark() -> None:
    def doubtful(texts: Sequence[str]) -> list[str]:
        return [f"{by_word(text)} SO-SO " if text == NEWS.title else text for text in texts]

    pair = only(chain(Dictionary(ills=[doubtful], flags=("draft",)))).translations["en"]
    assert pair
    assert pair[0].text == "water river rises SO-SO"
    assert (pair[0].flags, pair[1].flags) == (("draft", "numbers"), ("draft",))


def test_a_model_that_writes_is_held_against_what_passed_before() -> None:
    judge = Judge()
    first = Dictionary("first", ills=[bad_about("lagi")])
    outcome = only(chain(first, Dictionary("llm", is_llm=True), judge=judge))
    assert said(outcome)[2] == "llm"
    assert judge.seconds == ["water river rises", None]


def test_the_real_judge_is_the_default() -> None:
    looping = Dictionary("looping", ills=[lambda texts: ["north " * 40 for _ in texts]])
    settings = TranslateSettings()
    (outcome,) = Chain([looping], settings, Memory(), Clock()).translate([NEWS], 60)
    assert outcome.reason is Reason.REJECTED


@pytest.mark.parametrize(
    ("ill", "result", "reason"),
    [
        (BROKEN, "retry", Reason.SERVER_ERROR),
        (NO_KEY, "untranslated", Reason.UNAUTHORIZED),
        (NO_MODEL, "untranslated", Reason.MODEL_MISSING),
        (ZeroDivisionError("of a defect"), "retry", Reason.ENGINE_FAILED),
        (lambda texts: ["one"] * (len(texts) + 1), "retry", Reason.ENGINE_FAILED),
    ],
)
def test_an_engine_that_gives_no_answer_is_passed_over(
    ill: Exception | Does, result: str, reason: Reason
) -> None:
    alone = only(chain(Dictionary("ill", ills=[ill])))
    assert (alone.result, alone.reason) == (result, reason)
    assert alone.translations == {"en": None}
    assert alone.detail.startswith("ill: ")
    assert said(only(chain(Dictionary("ill", ills=[ill]), Dictionary("well"))))[2] == "well"


@pytest.mark.parametrize("first", [NO_KEY, bad_about("a")])
def test_what_may_pass_counts_more_than_what_lasts(first: Exception | Does) -> None:
    outcome = only(chain(Dictionary("first", ills=[first]), Dictionary("second", ills=[BROKEN])))
    assert (outcome.result, outcome.reason, outcome.detail) == (
        "retry",
        Reason.SERVER_ERROR,
        "second: 500",
    )


def test_the_judges_word_counts_more_than_a_missing_key() -> None:
    ill = Dictionary("ill", ills=[NO_KEY])
    assert only(chain(ill, Dictionary(ills=[bad_about("a")]))).reason is Reason.REJECTED


def test_an_engine_that_fails_rests_and_then_is_tried_once() -> None:
    clock, ill = Clock(), Dictionary("ill", ills=[BROKEN])
    chained = chain(ill, Dictionary("well"), clock=clock, cache=Memory())
    for outcome in chained.translate(many(80), 60):  # ten calls
        assert said(outcome)[2] == "well"
    assert len(ill.asked) == 3
    clock.now += 30
    list(chained.translate([Texts(99, "id", "air 99", "naik 99")], 60))
    assert len(ill.asked) == 4
    clock.now += 59
    list(chained.translate([NEWS], 60))
    assert len(ill.asked) == 4


def test_how_long_it_rests_is_when_to_come_again() -> None:
    clock = Clock()
    chained = chain(Dictionary(ills=[BROKEN]), clock=clock)
    waits = [only(chained).retry_after for _ in range(3)]
    assert waits == [None, None, seconds(30)]
    clock.now += 10
    outcome = only(chained)
    assert (outcome.result, outcome.reason) == ("retry", Reason.SERVER_ERROR)
    assert outcome.retry_after == seconds(20)


def test_failures_count_in_a_row() -> None:
    ill = Dictionary(ills=[BROKEN, BROKEN, None, BROKEN, BROKEN, None])
    results = [one.result for one in chain(ill).translate(many(48), 60)]
    assert [results[start] for start in range(0, 48, 8)] == [
        "retry", "retry", "translated", "retry", "retry", "translated",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("waits", "expected"), [([seconds(90), seconds(40)], seconds(40)), ([seconds(40), None], None)]
)
def test_the_engine_that_may_be_asked_first_says_when(
    waits: list[timedelta | None], expected: timedelta | None
) -> None:
    engines = [
        Dictionary(f"engine {wait}", ills=[EngineError(Reason.SERVER_ERROR, "503", wait)])
        for wait in waits
    ]
    assert only(chain(*engines)).retry_after == expected


def test_while_an_engine_rests_for_good_its_reason_is_told() -> None:
    ill = Dictionary(ills=[NO_KEY])
    chained = chain(ill)
    outcomes = [only(chained) for _ in range(3)]
    assert len(ill.asked) == 1
    assert {(one.result, one.reason) for one in outcomes} == {("untranslated", Reason.UNAUTHORIZED)}


def test_a_missing_model_keeps_no_other_pair_from_being_translated() -> None:
    engine = Dictionary(pairs=[("id", "en"), ("ja", "en")], ills=[NO_MODEL, None])
    chained = chain(engine)
    assert only(chained).reason is Reason.MODEL_MISSING
    assert only(chained, Texts(8, "ja", "air", "naik")).result == "translated"
    assert only(chained).reason is Reason.MODEL_MISSING
    assert len(engine.asked) == 2


def test_an_engine_that_was_asked_often_enough_is_passed_over() -> None:
    clock, rate = Clock(), Rate(2)
    quick = Dictionary("quick")
    chained = chain(quick, clock=clock, rates={"quick": rate})
    rate.take(clock.now)
    assert only(chained).result == "translated"
    rate.take(clock.now)
    clock.now += 20
    outcome = only(chained, Texts(8, "id", "air", "naik"))
    assert (outcome.result, outcome.reason) == ("retry", Reason.RATE_LIMITED)
    assert outcome.retry_after == seconds(40)
    assert only(chained).result == "translated"  # out of the cache
    assert len(quick.asked) == 1


def test_what_passed_is_asked_once_and_what_was_rejected_again() -> None:
    memory = Memory()
    engine = Dictionary(ills=[bad_about("lagi")])
    chained = chain(engine, cache=memory)
    for _ in range(2):
        assert only(chained).reason is Reason.REJECTED
    assert engine.asked == [[NEWS.title, NEWS.summary], [NEWS.summary]]
    (key,) = memory.kept
    assert (key.engine, key.model, key.source, key.target) == (
        "dictionary",
        "dictionary-id-en",
        "id",
        "en",
    )
    assert key.text_hash == hashlib.sha256(NEWS.title.encode()).hexdigest()


def test_the_same_text_is_asked_about_once() -> None:
    engine = Dictionary()
    twice = [Texts(number, "id", "air", "air") for number in range(3)]
    outcomes = list(chain(engine).translate(twice, 60))
    assert engine.asked == [["air"]]
    assert [said(one)[:2] for one in outcomes] == [("water", "water")] * 3


def test_blank_texts_stay_blank_and_are_not_asked_about() -> None:
    engine = Dictionary()
    outcomes = chain(engine).translate([Texts(1, "id", "air", ""), Texts(2, "id", "", " \n")], 60)
    assert [said(one)[:2] for one in outcomes] == [("water", ""), ("", "")]
    assert engine.asked == [["air"]]


def test_outcomes_come_in_groups_as_they_are_done() -> None:
    engine = Dictionary()
    outcomes = chain(engine).translate(many(20), 60)
    for _ in range(8):
        next(outcomes)
    assert len(engine.asked) == 1
    assert len(list(outcomes)) == 12
    assert [len(texts) for texts in engine.asked] == [16, 16, 8]


def test_what_was_not_reached_in_time_is_not_said() -> None:
    clock = Clock()

    def slow(texts: Sequence[str]) -> list[str]:
        clock.now += 20
        return [by_word(text) for text in texts]

    engine = Dictionary(ills=[slow])
    outcomes = list(chain(engine, clock=clock).translate(many(40), 50))
    assert [one.article_id for one in outcomes] == list(range(24))
    assert engine.seconds == [50, 30, 10]


LATE = EngineError(Reason.TIMEOUT, "too long")


def rounds(chained: Chain, clock: Clock, articles: list[Texts]) -> list[list[int]]:
    """Which articles are done in each of five rounds, an hour apart."""
    done = []
    for _ in range(5):
        outcomes = list(chained.translate(articles, 90))
        done.append([one.article_id for one in outcomes if one.result == "translated"])
        articles = [one for one in articles if one.article_id not in done[-1]]
        clock.now += 3_600
    return done


def test_an_engine_that_is_too_slow_for_all_at_once_gets_on() -> None:
    clock = Clock()

    def slow(texts: Sequence[str]) -> list[str]:
        clock.now += min(10 * len(texts), 30)
        if len(texts) > 3:
            raise LATE
        return [by_word(text) for text in texts]

    engine = Dictionary(ills=[slow])
    assert sum(map(len, rounds(chain(engine, clock=clock), clock, many(8)))) == 8
    assert {len(texts) for texts in engine.asked} == {16, 8, 4, 2}


def test_a_text_over_which_the_engine_hangs_takes_no_other_with_it() -> None:
    clock = Clock()

    def hanging(texts: Sequence[str]) -> list[str]:
        clock.now += 30 if "air 2" in texts else 0.1
        if "air 2" in texts:
            raise LATE
        return [by_word(text) for text in texts]

    done = rounds(chain(Dictionary(ills=[hanging]), clock=clock), clock, many(8))
    assert sorted(number for numbers in done for number in numbers) == [0, 1, 3, 4, 5, 6, 7]


def test_when_no_time_is_left_for_the_next_engine_it_is_asked_later() -> None:
    clock = Clock()

    def slow(texts: Sequence[str]) -> list[str]:
        clock.now += 60
        return ["BAD"] * len(texts)

    second = Dictionary("second")
    outcome = only(chain(Dictionary("first", ills=[slow]), second, clock=clock))
    assert (outcome.result, outcome.reason) == ("retry", Reason.TIMEOUT)
    assert second.asked == []


def test_an_article_is_told_once_all_its_targets_are() -> None:
    engine = Dictionary(pairs=[("id", "en"), ("id", "fr")])
    outcomes = chain(engine, targets=["en", "fr"]).translate(many(9), 60)
    first = next(outcomes)
    assert len(engine.asked) == 3
    assert set(first.translations) == {"en", "fr"}
    assert len(list(outcomes)) == 8


def test_it_knows_what_any_engine_knows_and_closes_all() -> None:
    class Stuck(Dictionary):
        def close(self) -> None:
            raise OSError("it will not end")

        def knows(self, source: str, target: str) -> bool:
            raise OSError("its disk is gone")

    engines = [Stuck(), Dictionary("french", [("id", "fr")]), Dictionary()]
    chained = chain(*engines)
    assert chained.knows("id", "fr")
    assert chained.knows("id", "en")
    assert not chained.knows("en", "id")
    chained.close()
    assert [engine.is_closed for engine in engines] == [False, True, True]


def shouting(request: Request) -> Answer:
    """LibreTranslate and Google in one."""
    made = [text.upper() for text in request.body["q"]]
    data = {"translations": [{"translatedText": text} for text in made]}
    return Answer(body={"translatedText": made, "data": data})


def test_the_engines_of_the_settings_are_asked_in_their_order_and_as_often_as_they_allow(
    tmp_path: Path,
) -> None:
    with Api(shouting) as api:
        service = HttpEngineSettings(url=api.url, requests_per_minute=1, api_key=SecretStr("k"))
        translate = TranslateSettings(
            engines=("none", "libretranslate", "google"), libretranslate=service, google=service
        )
        chained = open_chain(Settings(data_dir=tmp_path, translate=translate), post, Memory())
        texts = [Texts(number, "id", f"Air naik {number}", "") for number in range(3)]
        first, second, third = [only(chained, one) for one in texts]
        chained.close()
    assert said(first) == ("AIR NAIK 0", "", "libretranslate")
    assert said(second) == ("AIR NAIK 1", "", "google")
    assert (third.result, third.reason) == ("retry", Reason.RATE_LIMITED)
    assert third.retry_after


def test_with_the_engine_none_there_is_none(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, translate=TranslateSettings(engines=("none",)))
    assert only(open_chain(settings, post, Memory())).reason is Reason.NO_ENGINE


ILLS = st.sampled_from(
    [
        None,
        BROKEN,
        NO_KEY,
        NO_MODEL,
        RuntimeError("of a defect"),
        bad_about("air"),
        bad_about("naik"),
        lambda texts: [],
        lambda texts: [by_word(text) for text in texts][:-1],
        lambda texts: [""] * len(texts),
    ]
)
TEXT = st.lists(st.sampled_from([*WORDS, "1", "2"]), max_size=4).map(" ".join)
ENGINES = st.lists(
    st.tuples(
        st.sets(st.tuples(st.sampled_from(["id", "ja"]), st.sampled_from(["en", "fr"]))),
        st.lists(ILLS, max_size=4),
    ),
    max_size=4,
)
ARTICLES = st.lists(
    st.tuples(st.sampled_from(["id", "ja", "en", None]), TEXT, TEXT), max_size=30
).map(lambda rows: [Texts(number, *row) for number, row in enumerate(rows)])


@given(ENGINES, ARTICLES)
def test_whatever_engines_do_each_article_comes_out_once_with_its_own_texts(
    engines: list[tuple[set[tuple[str, str]], list[Any]]], articles: list[Texts]
) -> None:
    made = [
        Dictionary(f"engine {number}", pairs, ills) for number, (pairs, ills) in enumerate(engines)
    ]
    known = {pair for pairs, _ in engines for pair in pairs}
    outcomes = list(chain(*made, targets=["en", "fr"]).translate(articles, 60))
    assert sorted(one.article_id for one in outcomes) == [one.article_id for one in articles]
    for outcome in outcomes:
        texts = articles[outcome.article_id]
        assert list(outcome.translations) != [] or texts.language in ("en", "fr")
        assert texts.language not in outcome.translations
        assert (outcome.result == "translated") == (None not in outcome.translations.values())
        assert (outcome.reason is None) == (outcome.result == "translated")
        for target, pair in outcome.translations.items():
            if pair is None:
                continue
            assert (texts.language, target) in known
            for text, translation in zip((texts.title, texts.summary), pair, strict=True):
                assert translation.text == by_word(text)
