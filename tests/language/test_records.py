"""The list of models: which model of a pair it is, and what leads where."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.language.translate.records import ModelError, Pair, read, route, written

PAIRS: set[Pair] = {
    ("id", "en"), ("en", "fr"), ("fr", "en"), ("zh-Hans", "en"), ("en", "zh-Hant"), ("nb", "en"),
    ("en", "id"), ("en", "zh-Hans"), ("fr", "de"),
}  # fmt: skip


def record(kind: str = "model", version: str = "3.0", **others: Any) -> dict[str, Any]:
    name = others.pop("name", f"{kind}.iden.bin")
    return {
        "name": name,
        "fileType": kind,
        "version": version,
        "sourceLanguage": "id",
        "targetLanguage": "en",
        "decompressedHash": hashlib.sha256(f"{kind} {version}".encode()).hexdigest(),
        "attachment": {"location": f"models/{version}-{name}", "size": 17},
        **others,
    }


def listing(*records: Any) -> bytes:
    return json.dumps({"data": records}).encode()


def test_a_model_is_its_weights_and_its_vocabulary() -> None:
    model = read(listing(record(), record("vocab"), record("lex")))["id", "en"]
    assert {file.kind for file in model.files} == {"model", "vocab"}
    assert model.label == "id-en 3.0"


def test_or_its_two_vocabularies() -> None:
    model = read(listing(record(), record("srcvocab"), record("trgvocab")))["id", "en"]
    assert model.file("vocab", "srcvocab").kind == "srcvocab"
    assert model.file("vocab", "trgvocab").kind == "trgvocab"


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        (["3.0", "3.2", "3.1"], "3.2"),
        (["3.9", "3.10"], "3.10"),
        (["3.0", "3.1a1"], "3.0"),
        (["3.1a1"], "3.1a1"),
        (["3.0", "4.0"], "3.0"),
        (["3.0", "latest"], "3.0"),
    ],
)
def test_the_newest_version_that_the_engine_reads(versions: list[str], chosen: str) -> None:
    records = [record(kind, version) for version in versions for kind in ("model", "vocab")]
    assert read(listing(*records))["id", "en"].version == chosen


def test_a_newer_version_that_is_not_whole_is_not_taken() -> None:
    body = listing(record(), record("vocab"), record("model", "3.1"))
    assert read(body)["id", "en"].version == "3.0"


@pytest.mark.parametrize(
    "spoilt",
    [
        {"decompressedHash": None},
        {"decompressedHash": "0" * 63},
        {"name": "../../evil"},
        {"name": ".hidden"},
        {"sourceLanguage": "../id"},
        {"attachment": {"location": "../secret"}},
        {"attachment": {"location": "https://elsewhere.example/x"}},
        {"attachment": {"location": "/etc/passwd"}},
        {"attachment": {}},
        {"attachment": None},
        {"version": 3},
    ],
)
def test_a_record_without_checksum_or_with_a_way_out_is_none(spoilt: dict[str, Any]) -> None:
    assert read(listing({**record(), **spoilt}, record("vocab"), "junk", None, 7)) == {}


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"data": 1}', b"[" * 100_000, b"\xff"])
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(ModelError):
        read(body)


def test_it_can_be_written_and_read_again() -> None:
    found = read(listing(record(), record("vocab"), record("vocab", sourceLanguage="ms")))
    assert read(written(found["id", "en"])) == found


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("id", "en", [("id", "en")]),
        ("ID", "en-GB", [("id", "en")]),
        ("fr", "de", [("fr", "de")]),
        ("id", "fr", [("id", "en"), ("en", "fr")]),
        ("zh", "en", [("zh-Hans", "en")]),
        ("zh-CN", "fr", [("zh-Hans", "en"), ("en", "fr")]),
        ("en", "zh-TW", [("en", "zh-Hant")]),
        ("zh-TW", "en", []),
        ("no", "en", [("nb", "en")]),
        ("fr", "id", [("fr", "en"), ("en", "id")]),
        ("id", "id", []),
        ("en", "en", []),
        ("de", "en", []),
        ("th", "en", []),
    ],
)
def test_routes(source: str, target: str, expected: list[Pair]) -> None:
    assert list(route(PAIRS, source, target)) == expected


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_text_may_be_asked_for_as_a_language(source: str, target: str) -> None:
    assert len(route(PAIRS, source, target)) <= 2
