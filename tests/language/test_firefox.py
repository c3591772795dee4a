"""The engine `firefox`: real fxtranslate on hand-made models, from a server on loopback."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from fxtranslate import Translator

from tests.language.conftest import Clock, MakeFirefox
from tests.language.marian import Marian
from tests.language.records import Manner, Records
from tests.language.words import (
    ENGLISH,
    IN_ENGLISH,
    IN_FRENCH,
    SENTENCE,
    en_fr,
    id_en,
)
from tests.servers.child import Child, alive
from tests.waiting import until
from worker.language.translate import parent
from worker.language.translate.engines import EngineError
from worker.language.translate.firefox import Firefox
from worker.reasons import Reason
from worker.settings import FirefoxSettings

_SECONDS = 60.0
_SLOW = 60_000  # pieces of a model that takes a tenth of a second for thirty words


def publish(server: Records, model: Marian, source: str = "id", target: str = "en") -> None:
    server.publish(source, target, model.model, model.vocabulary)


def texts(engine: Firefox, *given: str, source: str = "id", target: str = "en") -> list[str]:
    return [one.text for one in engine.translate(given, source, target, seconds=_SECONDS)]


def bare(model: Marian, sentence: str) -> str:
    """What fxtranslate itself makes of it, in this process."""
    translator = Translator(model.model, model.vocabulary, model.vocabulary)
    return str(translator.translate(sentence))


def child_of(engine: Firefox) -> int:
    """The process that works for `engine`, once it has one."""
    (child,) = (
        int(one.pid)
        for one in psutil.Process().children()
        if any(part.endswith("translate/child.py") for part in one.cmdline())
    )
    assert engine
    return child


@pytest.fixture
def firefox(server: Records, make_firefox: MakeFirefox) -> Firefox:
    """The engine, with a server that has the model from Indonesian to English."""
    publish(server, id_en())
    return make_firefox()


def test_it_fetches_a_model_and_translates_word_for_word(firefox: Firefox) -> None:
    assert firefox.knows("id", "en")
    (title,) = firefox.translate([SENTENCE], "id", "en", seconds=_SECONDS)
    assert title.text == IN_ENGLISH
    assert (title.engine, title.model, title.flags) == ("firefox", "id-en 3.0", ())
    assert firefox.model("id", "en") == "id-en 3.0"


def test_sentences_are_translated_one_by_one_and_paragraphs_stay(firefox: Firefox) -> None:
    text = "Harga naik. hujan besar.\n\nbanjir di kota.  warga makan.\n- rumah baru\n"
    made = "price rises. big rain.\n\nflood in city. residents eat.\n- house new\n"
    text, made = text.replace("Harga", "harga"), made.replace("big rain", "rain big")
    assert texts(firefox, text.replace("- ", ""), "") == [made.replace("- ", ""), ""]


def test_as_many_texts_come_back_as_went_in(firefox: Firefox) -> None:
    assert texts(firefox, "harga naik.", "", " \n", "12,5", "hujan.") == [
        "price rises.", "", " \n", "12,5", "rain.",
    ]  # fmt: skip
    assert texts(firefox) == []


def test_a_long_sentence_is_cut_at_its_clauses(firefox: Firefox) -> None:
    clause = " ".join(["warga makan di rumah baru"] * 6)
    made = " ".join(["residents eat in house new"] * 6)
    text = ", ".join([clause] * 5) + "."
    assert len(text) > 700
    assert texts(firefox, text) == [", ".join([made] * 5) + "."]


def test_a_nul_is_left_out(firefox: Firefox) -> None:
    assert texts(firefox, "harga\0 naik.") == ["price rises."]


def test_half_a_surrogate_pair_is_no_error(firefox: Firefox) -> None:
    (made,) = texts(firefox, "harga \ud83d naik.")
    assert made.startswith("price ")


def test_letters_that_are_written_byte_by_byte_are_put_together(
    server: Records, make_firefox: MakeFirefox
) -> None:
    publish(server, id_en(by_bytes="é"))
    assert bare(id_en(by_bytes="é"), "saya é makan") == "I <0xC3><0xA9> eat"
    assert texts(make_firefox(), "saya é makan") == ["I é eat"]


@pytest.mark.slow
def test_a_text_of_200_000_characters(firefox: Firefox) -> None:
    count = 200_000 // len(f"{SENTENCE} ") + 1
    (made,) = texts(firefox, " ".join([SENTENCE] * count))
    assert made == " ".join([IN_ENGLISH] * count)


def test_offline_with_the_models_on_disk(
    firefox: Firefox, make_firefox: MakeFirefox, server: Records
) -> None:
    texts(firefox, SENTENCE)
    asked = len(server.requests())
    nowhere = make_firefox(records_url="http://127.0.0.1:9/", attachments_url="http://127.0.0.1:9/")
    assert nowhere.knows("id", "en")
    assert texts(nowhere, SENTENCE) == [IN_ENGLISH]
    assert len(server.requests()) == asked


@pytest.mark.parametrize("max_models", [1, 3])
def test_pivot_through_english(
    firefox: Firefox, server: Records, make_firefox: MakeFirefox, max_models: int
) -> None:
    publish(server, en_fr(), "en", "fr")
    engine = make_firefox(max_models=max_models)
    assert engine.knows("id", "fr")
    (made,) = engine.translate([SENTENCE], "id", "fr", seconds=_SECONDS)
    assert made.text == IN_FRENCH
    assert made.model == "id-en 3.0 + en-fr 3.0"


def test_least_recently_used_models_are_dropped(
    firefox: Firefox, server: Records, make_firefox: MakeFirefox
) -> None:
    publish(server, en_fr(), "en", "fr")
    engine = make_firefox(max_models=1)
    for _ in range(2):
        assert texts(engine, SENTENCE) == [IN_ENGLISH]
        assert texts(engine, IN_ENGLISH, source="en", target="fr") == [IN_FRENCH]


def test_a_model_that_is_not_to_be_fetched(
    firefox: Firefox, make_firefox: MakeFirefox, server: Records
) -> None:
    engine = make_firefox(fetch=False)
    assert not engine.knows("id", "en")
    with pytest.raises(EngineError) as caught:
        texts(engine, SENTENCE)
    assert caught.value.reason is Reason.MODEL_MISSING
    assert caught.value.lasting
    assert server.requests() == []


def test_a_server_that_fails_is_asked_every_few_minutes_at_most(
    firefox: Firefox, server: Records, clock: Clock
) -> None:
    server.behave(Manner(status=503))
    for _ in range(3):
        with pytest.raises(EngineError) as caught:
            texts(firefox, SENTENCE)
        assert caught.value.reason is Reason.MODEL_MISSING
        assert caught.value.lasting
    assert not firefox.knows("id", "en")
    assert server.requests() == ["/records "]
    server.behave(Manner())
    clock.now += timedelta(minutes=5)
    assert firefox.knows("id", "en")
    assert texts(firefox, SENTENCE) == [IN_ENGLISH]


def test_another_process_learns_of_the_failure_too(
    firefox: Firefox, server: Records, make_firefox: MakeFirefox
) -> None:
    server.behave(Manner(status=503))
    with pytest.raises(EngineError):
        texts(firefox, SENTENCE)
    assert not make_firefox().knows("id", "en")


def test_a_pair_that_nobody_has(firefox: Firefox, server: Records, clock: Clock) -> None:
    assert firefox.knows("th", "en"), "without a list nothing is known"
    with pytest.raises(EngineError) as caught:
        texts(firefox, "x", source="th")
    assert caught.value.reason is Reason.MODEL_MISSING
    assert not firefox.knows("th", "en")
    clock.now += timedelta(days=1, minutes=1)
    assert firefox.knows("th", "en"), "the list may have grown"


def test_a_slow_download_is_waited_for_and_then_gone_on_with(
    firefox: Firefox, server: Records
) -> None:
    server.behave(Manner(stalls=True))
    with pytest.raises(EngineError) as caught:
        firefox.translate([SENTENCE], "id", "en", seconds=0.5)
    assert caught.value.reason is Reason.MODEL_MISSING
    assert not caught.value.lasting
    assert caught.value.retry_after
    server.behave(Manner())
    until(lambda: firefox.knows("id", "en") and "3.0" in firefox.model("id", "en"), "the model")
    assert texts(firefox, SENTENCE) == [IN_ENGLISH]


def test_a_vocabulary_that_is_a_web_page(
    server: Records, make_firefox: MakeFirefox, clock: Clock
) -> None:
    page = b"<!doctype html><title>Sign in to the network</title>"
    server.publish("id", "en", id_en().model, page)
    assert bare(Marian(id_en().model, page), SENTENCE) == "", "no error: hence the canary"
    engine = make_firefox()
    with pytest.raises(EngineError) as caught:
        texts(engine, SENTENCE)
    assert caught.value.reason is Reason.ENGINE_FAILED
    assert caught.value.lasting
    assert not engine.knows("id", "en")
    clock.now += timedelta(minutes=5)
    assert engine.knows("id", "en")


def test_a_model_that_is_no_model(server: Records, make_firefox: MakeFirefox) -> None:
    server.publish("id", "en", b"nothing of the kind", id_en().vocabulary)
    with pytest.raises(EngineError) as caught:
        texts(make_firefox(), SENTENCE)
    assert caught.value.reason is Reason.ENGINE_FAILED


def test_a_damaged_file_is_fetched_again(
    firefox: Firefox, make_firefox: MakeFirefox, tmp_path: Path, clock: Clock
) -> None:
    texts(firefox, SENTENCE)
    (model,) = (tmp_path / "models/id-en").glob("*model*")
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    engine = make_firefox()
    with pytest.raises(EngineError) as caught:
        texts(engine, SENTENCE)
    assert caught.value.reason is Reason.MODEL_MISSING
    assert texts(engine, SENTENCE) == [IN_ENGLISH]


def test_a_killed_child_is_started_again(firefox: Firefox) -> None:
    texts(firefox, SENTENCE)
    first = child_of(firefox)
    os.kill(first, signal.SIGKILL)
    until(lambda: not alive(first), "the child's end")
    assert texts(firefox, SENTENCE) == [IN_ENGLISH]
    assert child_of(firefox) != first


def test_a_child_that_hangs_is_killed(firefox: Firefox) -> None:
    texts(firefox, SENTENCE)
    hanging = child_of(firefox)
    os.kill(hanging, signal.SIGSTOP)
    with pytest.raises(EngineError) as caught:
        firefox.translate([SENTENCE], "id", "en", seconds=0.5)
    assert caught.value.reason is Reason.TIMEOUT
    assert not caught.value.lasting
    assert not alive(hanging)
    assert texts(firefox, SENTENCE) == [IN_ENGLISH]


def test_a_child_that_takes_nothing_is_killed() -> None:
    process = parent.Child(1)
    assert process.translate([], ["hujan"], time.monotonic() + _SECONDS) == ["hujan"]
    hanging = process.pid
    assert hanging
    os.kill(hanging, signal.SIGSTOP)
    with pytest.raises(parent.ChildTimeoutError):
        process.translate([], ["more than a pipe holds"] * 10_000, time.monotonic() + 0.5)
    assert not alive(hanging)


def test_its_end_is_the_childs(firefox: Firefox) -> None:
    texts(firefox, SENTENCE)
    child = child_of(firefox)
    firefox.close()
    assert not alive(child)


_PARENT = """
import sys
from pathlib import Path
from worker.language.translate.firefox import Firefox
from worker.settings import FirefoxSettings
engine = Firefox(FirefoxSettings(fetch=False, timeout_seconds=600), Path(sys.argv[1]))
engine.translate(["hujan."], "id", "en", seconds=60)
print(engine._child.pid, flush=True)
text = sys.argv[2] * 5_000
engine.translate([text], "id", "en", seconds=600) if text else sys.stdin.read()
"""


@pytest.mark.parametrize("text", ["", "hujan besar. "], ids=["idle", "at work"])
def test_the_child_of_a_killed_parent_ends(
    server: Records, make_firefox: MakeFirefox, tmp_path: Path, text: str
) -> None:
    publish(server, id_en(unused=_SLOW))
    texts(make_firefox(), SENTENCE)
    told = tmp_path / "told"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR)
    killed = Child(
        [sys.executable, "-c", _PARENT, tmp_path / "models", text],
        tmp_path / "log", stdout=told, stdin=fifo,
    )  # fmt: skip
    try:
        child = int(until(lambda: told.exists() and told.read_text().strip(), "the child's id"))
        if text:
            until(lambda: psutil.Process(child).cpu_times().user > 1, "the child to be at work")
        assert alive(child)
        killed.kill()
        until(lambda: not alive(child), "the child's end")
    finally:
        os.close(held)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a package in the place of fxtranslate whose translators are made and translate so.

    For what the real one does not do when asked: end its process, or have an installation fail.
    """

    def put(making: str, translating: str) -> None:
        (tmp_path / "site").mkdir()
        (tmp_path / "site/fxtranslate.py").write_text(
            "import os\n"
            "from pathlib import Path\n"
            f"here = Path({str(tmp_path)!r})\n"
            "class PanicException(BaseException): pass\n"
            "class Translator:\n"
            f"    def __init__(self, *content): {making}\n"
            f"    def translate(self, text):\n        {translating}\n        return text.upper()\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))

    return put


StandIn = Callable[[str, str], None]


def test_whatever_is_printed_in_the_child_does_no_harm(firefox: Firefox, stand_in: StandIn) -> None:
    stand_in("print('loaded')", "print('at work'); os.system('echo from a process')")
    assert texts(firefox, "harga naik.") == ["HARGA NAIK."]


def test_a_text_on_which_the_engine_ends_takes_no_other_with_it(
    firefox: Firefox, stand_in: StandIn
) -> None:
    stand_in(
        "pass",
        "if 'panic' in text: raise PanicException('a word too many')\n"
        "        if 'abort' in text: os.abort()",
    )
    given = ["harga.", "a panic.", "naik.", "an abort.", "hujan."]
    assert texts(firefox, *given) == ["HARGA.", "", "NAIK.", "", "HUJAN."]


def test_a_text_on_which_it_ended_once_is_tried_again(firefox: Firefox, stand_in: StandIn) -> None:
    stand_in(
        "pass",
        "first = here / 'once'\n"
        "        if 'naik' in text and not first.exists(): first.touch(); os.abort()",
    )
    assert texts(firefox, "harga.", "naik.") == ["HARGA.", "NAIK."]


def test_an_engine_that_cannot_be_loaded_is_no_texts_fault(
    firefox: Firefox, stand_in: StandIn
) -> None:
    stand_in("os.abort()", "pass")
    with pytest.raises(EngineError) as caught:
        texts(firefox, SENTENCE)
    assert caught.value.reason is Reason.ENGINE_FAILED
    assert not caught.value.lasting


def test_without_fxtranslate(firefox: Firefox, stand_in: StandIn, tmp_path: Path) -> None:
    stand_in("pass", "pass")
    (tmp_path / "site/fxtranslate.py").write_text("raise ImportError('not for this system')\n")
    with pytest.raises(EngineError, match="not for this system") as caught:
        texts(firefox, SENTENCE)
    assert caught.value.reason is Reason.ENGINE_FAILED
    assert caught.value.lasting


def test_a_model_is_loaded_once_while_it_is_among_those_used_last(
    server: Records, make_firefox: MakeFirefox, stand_in: StandIn, tmp_path: Path
) -> None:
    for source, target in (("id", "en"), ("en", "fr"), ("de", "en")):
        server.publish(source, target, f"{source}{target} ".encode(), b"vocabulary")
    stand_in("(here / 'loaded').open('ab').write(content[0])", "pass")
    engine = make_firefox(max_models=2)
    for source, target in (("id", "fr"), ("id", "en"), ("de", "en"), ("id", "en"), ("id", "fr")):
        assert texts(engine, "harga.", source=source, target=target) == ["HARGA."]
    assert (tmp_path / "loaded").read_text().split() == ["iden", "enfr", "deen", "enfr"]


def test_where_nothing_can_be_noted_the_server_is_left_alone_too(
    firefox: Firefox, server: Records, tmp_path: Path
) -> None:
    (tmp_path / "models").write_text("in the way")
    for _ in range(2):
        with pytest.raises(EngineError) as caught:
            texts(firefox, SENTENCE)
        assert caught.value.reason is Reason.MODEL_MISSING
    assert len(server.requests()) == 1


_SLOW_SENTENCE = " ".join([*ENGLISH, *ENGLISH]) + "."
_GAP_SECONDS = 0.05
_ATTEMPTS = 20


def longest_gap(work: Callable[[], object]) -> float:
    """For how long at most the event loop did nothing while `work` was done in a thread."""

    async def run() -> float:
        working = asyncio.create_task(asyncio.to_thread(work))
        longest, before = 0.0, time.monotonic()
        while not working.done():
            await asyncio.sleep(0.001)
            now = time.monotonic()
            longest, before = max(longest, now - before), now
        await working
        return longest

    return asyncio.run(run())


def test_the_event_loop_goes_on_while_the_child_translates(
    server: Records, make_firefox: MakeFirefox
) -> None:
    model = id_en(unused=_SLOW)
    gap = longest_gap(lambda: bare(model, _SLOW_SENTENCE))
    assert gap > _GAP_SECONDS, "the model is too quick for this test"
    publish(server, model)
    engine = make_firefox()
    texts(engine, SENTENCE)
    # A busy machine makes gaps of its own: one quiet run among many will do.
    gaps = (longest_gap(lambda: texts(engine, *[_SLOW_SENTENCE] * 2)) for _ in range(_ATTEMPTS))
    assert any(gap <= _GAP_SECONDS for gap in gaps)


def test_settings_are_those_of_the_section() -> None:
    assert Firefox(FirefoxSettings(), Path("nowhere")).model("id", "en") == "id-en"
