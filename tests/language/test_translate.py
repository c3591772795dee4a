"""Translation with the engine `none`, and with a small real one: a dictionary of words."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from worker.language.translate import (
    Engine,
    NoEngine,
    Texts,
    Translation,
    crashed,
    engines,
    translate,
)
from worker.reasons import Reason
from worker.settings import TranslateSettings

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TEXTS = Texts(7, "id", "air sungai naik", "air naik lagi")


class Dictionary:
    """Translates word by word, and marks what it does not know."""

    def __init__(self, name: str, source: str, target: str, words: dict[str, str]) -> None:
        self.name = name
        self._pair = (source, target)
        self._words = words

    def knows(self, source: str, target: str) -> bool:
        return (source, target) == self._pair

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        assert self.knows(source, target)
        return [self._translation(text.split()) for text in texts]

    def _translation(self, words: list[str]) -> Translation:
        text = " ".join(self._words.get(word, word) for word in words)
        flags = () if all(word in self._words for word in words) else ("words_left",)
        return Translation(text, self.name, "dictionary-1", flags)


WORDS = {"air": "water", "sungai": "river", "naik": "rises", "lagi": "again"}
ENGLISH = Dictionary("english", "id", "en", WORDS)
FRENCH = Dictionary("french", "id", "fr", {"air": "eau"})


def test_each_target_gets_title_and_summary() -> None:
    outcome = translate(TEXTS, [FRENCH, ENGLISH], ["en", "fr"], NOW)
    assert (outcome.article_id, outcome.due_at) == (7, NOW)
    assert (outcome.reason, outcome.status) == (None, "translated")
    assert outcome.translations == {
        "en": (
            Translation("water river rises", "english", "dictionary-1"),
            Translation("water rises again", "english", "dictionary-1"),
        ),
        "fr": (
            Translation("eau sungai naik", "french", "dictionary-1", ("words_left",)),
            Translation("eau naik lagi", "french", "dictionary-1", ("words_left",)),
        ),
    }


def test_the_first_engine_that_knows_the_pair_is_taken() -> None:
    second = Dictionary("second", "id", "en", {})
    outcome = translate(TEXTS, [NoEngine(), FRENCH, ENGLISH, second], ["en"], NOW)
    assert outcome.translations["en"] is not None
    assert outcome.translations["en"][0].engine == "english"


def test_without_an_engine_it_stays_and_says_why() -> None:
    outcome = translate(TEXTS, engines(TranslateSettings()), ["en"], NOW)
    assert outcome.translations == {"en": None}
    assert (outcome.reason, outcome.status) == (Reason.NO_ENGINE, "untranslated")


def test_one_missing_target_is_told_and_the_others_are_kept() -> None:
    outcome = translate(TEXTS, [ENGLISH], ["en", "fr"], NOW)
    assert outcome.translations["en"] is not None
    assert outcome.translations["fr"] is None
    assert (outcome.reason, outcome.status) == (Reason.NO_ENGINE, "untranslated")


def test_a_language_that_is_not_known() -> None:
    outcome = translate(Texts(7, None, "x", "y"), [ENGLISH], ["en", "id"], NOW)
    assert outcome.translations == {"en": None, "id": None}
    assert outcome.reason is Reason.LANGUAGE_UNKNOWN


@pytest.mark.parametrize("available", [[], [ENGLISH]])
def test_its_own_language_is_no_target(available: list[Engine]) -> None:
    outcome = translate(TEXTS, available, ["id"], NOW)
    assert outcome.translations == {}
    assert (outcome.reason, outcome.status) == (None, "translated")


def test_one_that_takes_its_process_down() -> None:
    outcome = crashed(TEXTS, ["en", "id"], NOW)
    assert outcome.translations == {"en": None}
    assert (outcome.reason, outcome.status) == (Reason.CRASHED, "untranslated")


def test_the_engine_none_refuses_what_it_does_not_know() -> None:
    (engine,) = engines(TranslateSettings())
    assert engine.name == "none"
    assert not engine.knows("id", "en")
    with pytest.raises(ValueError, match="id to en"):
        engine.translate(["x"], "id", "en")
