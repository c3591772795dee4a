"""Whole pages of our own in tests/data/articles, each with every field of its article by hand.

`features` are what news sites do to their articles, numbered: 1 promotions between paragraphs, 2 a
brand's dateline, 3 several pages, 4 bylines, editors and sources, 5 written dates, 6 captions and
credits, 7 advertisements as text, 8 calls to follow, 9 lists of other articles, 10 titles with the
site's name, 11 odd markup, 12 AMP, read-more and endless scroll.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from worker.articles import Page, assemble
from worker.articles.pages import following

DATA = Path(__file__).parents[1] / "data" / "articles"
FIXTURES = {
    path.stem: found
    for path in sorted(DATA.glob("*.json"))
    if "urls" in (found := json.loads(path.read_text("utf-8")))
}
LATER = datetime(2026, 2, 1, tzinfo=UTC)


def pages(name: str) -> list[Page]:
    """A fixture's pages: `name.html`, `name.2.html` and so on."""
    found = FIXTURES[name]
    at = datetime.fromisoformat(found["fetched_at"]) if "fetched_at" in found else LATER
    files = [f"{name}.html", *(f"{name}.{n}.html" for n in range(2, len(found["urls"]) + 1))]
    return [
        Page(url, (DATA / file).read_bytes(), None, at)
        for url, file in zip(found["urls"], files, strict=True)
    ]


def times(article: dict[str, Any]) -> dict[str, Any]:
    """With its times as times: the same moment may be written in two zones."""
    moments = {
        name: datetime.fromisoformat(at) if isinstance(at := article[name], str) else at
        for name in ("published_at", "modified_at")
    }
    return {**article, **moments}


@pytest.mark.parametrize("name", FIXTURES)
def test_every_field(name: str) -> None:
    expected = FIXTURES[name]["article"]
    article = assemble(pages(name))
    got = json.loads(json.dumps(asdict(article), default=str))
    assert times({field: got[field] for field in expected}) == times(expected)
    assert article.text == "\n\n".join(expected["paragraphs"])


@pytest.mark.parametrize("name", FIXTURES)
def test_the_parts_are_found(name: str) -> None:
    parts = pages(name)
    urls = [parts[0].url]
    while wanted := following(parts[: len(urls)]):
        urls.append(wanted.url)
        assert len(urls) <= len(parts), f"{wanted.url} is no part"
    assert urls == FIXTURES[name]["urls"]


def test_there_are_enough() -> None:
    languages = [found["article"]["language"].partition("-")[0] for found in FIXTURES.values()]
    assert languages.count("id") >= 12
    assert set(languages) == {"id", "en", "ms", "es", "de", "fr", "ar", "ja", "ru"}
    features = [feature for found in FIXTURES.values() for feature in found["features"]]
    assert set(features) == set(range(1, 13))
