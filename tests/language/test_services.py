"""LibreTranslate, DeepL and Google, against servers on loopback that speak their published APIs."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.servers.api import Answer, Api, Request, post
from worker.language.translate.deepl import DeepL
from worker.language.translate.engines import EngineError, Translation
from worker.language.translate.google import Google
from worker.language.translate.libretranslate import LibreTranslate
from worker.reasons import Reason
from worker.settings import HttpEngineSettings

KEY = "7e6b1f1c-secret"
SECONDS = 20.0
TEXTS = ["Selamat pagi.", "", "Hujan & “banjir” di Jakarta"]
Make = type[LibreTranslate] | type[DeepL] | type[Google]

ENGINES: dict[str, Make] = {"libretranslate": LibreTranslate, "deepl": DeepL, "google": Google}


def shouted(texts: list[str]) -> list[str]:
    """What the servers of these tests call a translation."""
    return [text.upper() for text in texts]


def libretranslate(request: Request) -> Answer:
    assert request.path == "/translate"
    return Answer(body={"translatedText": shouted(request.body["q"])})


def deepl(request: Request) -> Answer:
    assert request.path == "/translate"
    made = [
        {"detected_source_language": "ID", "text": text} for text in shouted(request.body["text"])
    ]
    return Answer(body={"translations": made})


def google(request: Request) -> Answer:
    assert request.path == "/"
    made = [{"translatedText": text, "model": "nmt"} for text in shouted(request.body["q"])]
    return Answer(body={"data": {"translations": made}})


SERVERS = {"libretranslate": libretranslate, "deepl": deepl, "google": google}


@contextmanager
def serving(
    name: str, answer: Callable[[Request], Answer], **settings: Any
) -> Iterator[tuple[Api, LibreTranslate | DeepL | Google]]:
    with Api(answer) as api:
        url = api.url + ("/" if name == "google" else "")
        yield api, ENGINES[name](HttpEngineSettings(url=url, api_key=KEY, **settings), post)


@pytest.fixture(params=sorted(ENGINES))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def test_texts_come_back_in_their_order_and_nothing_stays_nothing(name: str) -> None:
    with serving(name, SERVERS[name]) as (api, engine):
        made = engine.translate(TEXTS, "id", "en", seconds=SECONDS)
    model = engine.model("id", "en")
    assert made == [
        Translation("SELAMAT PAGI.", name, model),
        Translation("", name, model),
        Translation("HUJAN & “BANJIR” DI JAKARTA", name, model),
    ]
    assert len(api.requests) == 1


def test_nothing_is_asked_where_there_is_nothing_to_translate(name: str) -> None:
    with serving(name, SERVERS[name]) as (api, engine):
        made = engine.translate(["", " \n"], "id", "en", seconds=SECONDS)
    assert [one.text for one in made] == ["", ""]
    assert api.requests == []


@pytest.mark.parametrize(("name", "most"), [("libretranslate", 50), ("deepl", 50), ("google", 128)])
def test_no_request_holds_more_texts_than_the_service_takes(name: str, most: int) -> None:
    texts = [f"teks {number}" for number in range(150)]
    with serving(name, SERVERS[name]) as (api, engine):
        made = engine.translate(texts, "id", "en", seconds=SECONDS)
    assert [one.text for one in made] == shouted(texts)
    field = "text" if name == "deepl" else "q"
    assert max(len(request.body[field]) for request in api.requests) == most


@pytest.mark.parametrize(
    ("name", "most"), [("libretranslate", 2_000), ("deepl", 20_000), ("google", 5_000)]
)
def test_no_request_is_longer_than_the_service_takes(name: str, most: int) -> None:
    texts = ["kata " * 179] * 30
    with serving(name, SERVERS[name]) as (api, engine):
        engine.translate(texts, "id", "en", seconds=SECONDS)
    field = "text" if name == "deepl" else "q"
    assert all(sum(map(len, request.body[field])) <= most for request in api.requests)
    assert len(api.requests) > 1


# What each service says, and what is made of it: reason, whether for long, wait.
REFUSALS = {
    "libretranslate": [
        (
            Answer(429, {"error": "Slowdown: 20 per 1 minute"}, {"Retry-After": "40"}),
            (Reason.RATE_LIMITED, False, timedelta(seconds=40)),
        ),
        (Answer(403, {"error": "Invalid API key"}), (Reason.UNAUTHORIZED, True, None)),
        (Answer(400, {"error": "xx is not supported"}), (Reason.CLIENT_ERROR, True, None)),
        (
            Answer(500, {"error": "Cannot translate text: out of memory"}),
            (Reason.SERVER_ERROR, False, None),
        ),
        (Answer(200, {"error": "out of luck"}), (Reason.ENGINE_FAILED, False, None)),
    ],
    "deepl": [
        (
            Answer(429, b"", {"Retry-After": "3"}),
            (Reason.RATE_LIMITED, False, timedelta(seconds=3)),
        ),
        (Answer(456, {"message": "Quota Exceeded"}), (Reason.RATE_LIMITED, True, None)),
        (Answer(403, {"message": "Forbidden"}), (Reason.UNAUTHORIZED, True, None)),
        (Answer(529, {"message": "Too many requests"}), (Reason.SERVER_ERROR, False, None)),
        (
            Answer(400, {"message": "Value for 'target_lang' not supported."}),
            (Reason.CLIENT_ERROR, True, None),
        ),
    ],
    "google": [
        (
            Answer(
                400,
                {
                    "error": {
                        "code": 400,
                        "message": "API key not valid. Please pass a valid API key.",
                        "errors": [{"message": "API key not valid", "reason": "badRequest"}],
                        "status": "INVALID_ARGUMENT",
                        "details": [{"reason": "API_KEY_INVALID"}],
                    }
                },
            ),
            (Reason.UNAUTHORIZED, True, None),
        ),
        (
            Answer(
                403,
                {
                    "error": {
                        "code": 403,
                        "message": "User Rate Limit Exceeded",
                        "errors": [{"reason": "userRateLimitExceeded"}],
                    }
                },
            ),
            (Reason.RATE_LIMITED, False, None),
        ),
        (
            Answer(
                403,
                {
                    "error": {
                        "code": 403,
                        "message": "Daily Limit Exceeded",
                        "errors": [{"reason": "dailyLimitExceeded"}],
                    }
                },
            ),
            (Reason.RATE_LIMITED, True, None),
        ),
        (
            Answer(403, {"error": {"code": 403, "message": "The request is missing a key"}}),
            (Reason.UNAUTHORIZED, True, None),
        ),
        (
            Answer(200, {"error": {"code": 503, "message": "Backend Error"}}),
            (Reason.ENGINE_FAILED, False, None),
        ),
    ],
}


@pytest.mark.parametrize(
    ("name", "answer", "expected"),
    [(name, *case) for name, cases in REFUSALS.items() for case in cases],
)
def test_what_the_service_refuses(
    name: str, answer: Answer, expected: tuple[Reason, bool, timedelta | None]
) -> None:
    with serving(name, lambda request: answer) as (_, engine):
        error = failure(engine)
    assert (error.reason, error.lasting, error.retry_after) == expected
    said = re.findall(r"(?:error|message)'?: '([^']{3,})", str(answer.body))
    assert all(one in error.detail for one in said[:1])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(502, b"<html>Bad Gateway</html>"), (Reason.SERVER_ERROR, False)),
        (Answer(301, None, {"Location": "https://example.org/"}), (Reason.REDIRECTED, True)),
        (Answer(404, b"not here"), (Reason.NOT_FOUND, True)),
        (Answer(200, b'{"translatedText": ["Good mor'), (Reason.ENGINE_FAILED, False)),
        (Answer(200, b"<html>Log in first</html>"), (Reason.ENGINE_FAILED, False)),
        (Answer(200, ["Good morning."]), (Reason.ENGINE_FAILED, False)),
        (Answer(200, {}), (Reason.ENGINE_FAILED, False)),
        (Answer(200, b'{"a":' * 100_000), (Reason.ENGINE_FAILED, False)),
    ],
)
def test_what_is_no_answer(name: str, answer: Answer, expected: tuple[Reason, bool]) -> None:
    with serving(name, lambda request: answer) as (_, engine):
        error = failure(engine)
    assert (error.reason, error.lasting) == expected


def test_a_service_that_hangs_and_one_that_is_not_there(name: str) -> None:
    hanging = Answer(200, b"x" * 100, hangs=True)
    with serving(name, lambda request: hanging, timeout_seconds=0.3) as (api, engine):
        assert failure(engine).reason == Reason.ENGINE_FAILED  # the status had come, no text did
    error = failure(engine)
    assert (error.reason, error.lasting) == (Reason.CONNECT_FAILED, False)
    assert len(api.requests) == 1


def test_no_request_once_the_time_is_over(name: str) -> None:
    with serving(name, SERVERS[name]) as (api, engine):
        error = failure(engine, seconds=0.0)
    assert (error.reason, error.lasting, api.requests) == (Reason.TIMEOUT, False, [])


def test_a_server_that_loses_count_is_asked_for_less(name: str) -> None:
    def one_short(request: Request) -> Answer:
        texts = request.body["text" if name == "deepl" else "q"]
        if len(texts) > 1:
            texts.pop()
        return SERVERS[name](request)

    texts = [f"teks {number}" for number in range(5)]
    with serving(name, one_short) as (api, engine):
        made = engine.translate(texts, "id", "en", seconds=SECONDS)
    assert [one.text for one in made] == shouted(texts)
    assert len(api.requests) == 9  # 5, 2, 1, 1, 3, 1, 2, 1, 1


def test_one_text_that_gives_no_translation_takes_no_other_with_it(name: str) -> None:
    def without_the_third(request: Request) -> Answer:
        texts = request.body["text" if name == "deepl" else "q"]
        if "teks 2" in texts:
            texts.remove("teks 2")
        return SERVERS[name](request)

    texts = [f"teks {number}" for number in range(4)]
    with serving(name, without_the_third) as (_, engine):
        made = engine.translate(texts, "id", "en", seconds=SECONDS)
    assert [one.text for one in made] == ["TEKS 0", "TEKS 1", "", "TEKS 3"]


def test_what_no_store_takes_is_left_out(name: str) -> None:
    def odd(request: Request) -> Answer:
        answer = SERVERS[name](request)
        body = json.dumps(answer.body).replace("HALO", "A\\ud800\\u0000B")
        return Answer(body=body.encode())

    with serving(name, odd) as (_, engine):
        made = engine.translate(["Halo"], "id", "en", seconds=SECONDS)
    assert made[0].text == "A?B"


def test_a_key_that_a_service_repeats_is_in_no_detail(name: str) -> None:
    answer = Answer(403, {"error": {"message": f"the key {KEY} is unknown"}})
    with serving(name, lambda request: answer) as (_, engine):
        error = failure(engine)
    assert error.detail == "403 Forbidden: the key … is unknown"


def test_libretranslates_limits() -> None:
    """They are the server's own, and only its refusal tells of them."""

    def limited(request: Request) -> Answer:
        size = len(request.body["q"])
        if size > 2:
            said = f"Invalid request: request ({size}) exceeds text limit (2)"
            return Answer(400, {"error": said})
        return libretranslate(request)

    texts = [f"teks {number}" for number in range(7)]
    with serving("libretranslate", limited) as (_, engine):
        made = engine.translate(texts, "id", "en", seconds=SECONDS)
    assert [one.text for one in made] == shouted(texts)


def test_libretranslates_request() -> None:
    with serving("libretranslate", libretranslate) as (api, engine):
        engine.translate(["Selamat pagi."], "zh-TW", "nb", seconds=SECONDS)
    assert api.requests[0].body == {
        "q": ["Selamat pagi."],
        "source": "zh-Hant",
        "target": "nb",
        "format": "text",
        "api_key": KEY,
    }


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("id", "en", ("ID", "EN-US")),
        ("id", "en-GB", ("ID", "EN-GB")),
        ("en-AU", "pt", ("EN", "PT-BR")),
        ("no", "pt-PT", ("NB", "PT-PT")),
        ("zh-Hant", "es-419", ("ZH", "ES-419")),
        ("id", "zh-TW", ("ID", "ZH-HANT")),
        ("id", "de-AT", ("ID", "DE")),
    ],
)
def test_deepls_request(source: str, target: str, expected: tuple[str, str]) -> None:
    with serving("deepl", deepl) as (api, engine):
        engine.translate(["Selamat pagi."], source, target, seconds=SECONDS)
    [request] = api.requests
    assert request.body["text"] == ["Selamat pagi."]
    assert (request.body["source_lang"], request.body["target_lang"]) == expected
    assert request.headers["Authorization"] == f"DeepL-Auth-Key {KEY}"


@pytest.mark.parametrize("target", ["zh-TW", "zh-HK", "zh-MO", "zh-Hant", "zh-Hant-HK"])
def test_who_reads_the_traditional_script_gets_it(name: str, target: str) -> None:
    with serving(name, SERVERS[name]) as (api, engine):
        engine.translate(["Selamat pagi."], "id", target, seconds=SECONDS)
        engine.translate(["Selamat pagi."], "id", "zh-Hans-CN", seconds=SECONDS)
    asked = [one.body.get("target") or one.body["target_lang"] for one in api.requests]
    assert asked == {
        "deepl": ["ZH-HANT", "ZH-HANS"],
        "google": ["zh-TW", "zh-CN"],
        "libretranslate": ["zh-Hant", "zh-Hans"],
    }[name]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "host"), [("abc", "api.deepl.com"), ("abc:fx", "api-free.deepl.com")]
)
def test_deepls_host_by_the_kind_of_key(key: str, host: str) -> None:
    asked = []

    def noting(url: str, *rest: object, **more: object) -> Any:
        asked.append(url)
        raise ConnectionError  # far enough

    engine = DeepL(HttpEngineSettings(api_key=key), noting)
    with pytest.raises(ConnectionError):
        engine.translate(["Halo"], "id", "en", seconds=SECONDS)
    assert asked == [f"https://{host}/v2/translate"]


def test_googles_request_and_the_entities_in_its_answers() -> None:
    answer = Answer(
        body={"data": {"translations": [{"translatedText": "Bali&#39;s &quot;best&quot;"}]}}
    )
    with serving("google", lambda request: answer) as (api, engine):
        made = engine.translate(["Yang “terbaik” di Bali"], "id", "zh-Hant", seconds=SECONDS)
    assert made[0].text == 'Bali\'s "best"'
    [request] = api.requests
    assert request.body == {
        "q": ["Yang “terbaik” di Bali"],
        "source": "id",
        "target": "zh-TW",
        "format": "text",
    }
    assert request.headers["X-Goog-Api-Key"] == KEY
    assert KEY not in request.path


@pytest.mark.parametrize(
    ("name", "source", "target", "is_known"),
    [
        ("deepl", "id", "en", True),
        ("deepl", "jv", "en-GB", True),
        ("deepl", "min", "en", False),
        ("deepl", "id", "tlh", False),
        ("deepl", "en-GB", "en-US", False),
        ("libretranslate", "id", "en", True),
        ("libretranslate", "en", "en-GB", False),
        ("google", "id", "en", True),
        ("google", "zh-Hans", "zh-CN", False),
    ],
)
def test_which_pairs_are_known(name: str, source: str, target: str, is_known: bool) -> None:
    assert ENGINES[name](HttpEngineSettings(), post).knows(source, target) is is_known


def failure(engine: LibreTranslate | DeepL | Google, seconds: float = SECONDS) -> EngineError:
    with pytest.raises(EngineError) as caught:
        engine.translate(["Selamat pagi.", "Selamat malam."], "id", "en", seconds=seconds)
    return caught.value
