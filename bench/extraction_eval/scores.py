"""How the answers to each data set are scored, as its authors do it."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from statistics import fmean
from typing import Any

from bench.extraction_eval.documents import Document

_WORDS = re.compile(r"\w+")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_QUOTES = str.maketrans(
    {
        **dict.fromkeys("‘’‚`´", "'"),
        **dict.fromkeys("“”„«»", '"'),
        **dict.fromkeys("–—", "-"),
        "\u00ad": None,
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an extractor makes of a page; `lead` is what it tells apart from `text`."""

    text: str = ""
    lead: str = ""
    title: str = ""
    authors: tuple[str, ...] = ()
    date: Any = None

    @property
    def whole(self) -> str:
        return "\n".join(filter(None, (self.lead, self.text)))


Answered = Sequence[tuple[Document, Answer]]


def aeb(answered: Answered) -> dict[str, float]:
    """Bodies without headline and standfirst, by runs of four words: precision and recall of each
    page, their means over the pages, and F1 of the two means.
    """
    precisions, recalls = [], []
    for document, answer in answered:
        wanted, given = _runs(document.wanted), _runs(answer.text)
        common = (wanted & given).total()
        if given:
            precisions.append(common / given.total())
        if wanted:
            recalls.append(common / wanted.total())
    precision, recall = _mean(precisions), _mean(recalls)
    return {"f1": _f1(precision, recall), "precision": precision, "recall": recall}


def _runs(text: str, length: int = 4) -> Counter[tuple[str, ...]]:
    words = _WORDS.findall(text)
    count = max(1, len(words) - length + 1) if words else 0
    return Counter(tuple(words[at : at + length]) for at in range(count))


def traf(answered: Answered) -> dict[str, float]:
    """Texts with their standfirst, by pieces that must be in them and pieces that must not be."""
    found = missed = unwanted = 0
    for document, answer in answered:
        text = _fold(answer.whole)
        with_ = [_fold(piece) in text for piece in document.wanted["with"]]
        found += sum(with_)
        missed += len(with_) - sum(with_)
        unwanted += sum(_fold(piece) in text for piece in document.wanted["without"])
    precision, recall = found / (found + unwanted or 1), found / (found + missed or 1)
    return {"f1": _f1(precision, recall), "precision": precision, "recall": recall}


def _fold(text: str) -> str:
    return " ".join(text.split())


def fundus(answered: Answered) -> dict[str, float]:
    """The fields of news articles; bodies with their standfirst, as bags of words."""
    measures: dict[str, Callable[[Any, Answer], float | None]] = {
        "f1": _body,
        "title": lambda wanted, given: _plain(given.title) == _plain(wanted.get("title")),
        "day": lambda wanted, given: _same_day(_time(wanted["publishing_date"]), _time(given.date)),
        "minute": lambda wanted, given: _same_minute(
            _time(wanted["publishing_date"]), _time(given.date)
        ),
        "authors": _authors,
    }
    return {
        name: _mean([float(v) for d, a in answered if (v := measure(d.wanted, a)) is not None])
        for name, measure in measures.items()
    }


def _body(wanted: Any, given: Answer) -> float | None:
    body = wanted.get("body") or {}
    parts = list(body.get("summary") or [])
    for section in body.get("sections") or []:
        parts += [*(section.get("headline") or []), *(section.get("paragraphs") or [])]
    if not any(parts):
        return None
    gold, got = _bag("\n".join(parts)), _bag(given.whole)
    common = (gold & got).total()
    return _f1(common / (got.total() or 1), common / (gold.total() or 1))


def _bag(text: str) -> Counter[str]:
    """Words; in scripts that put no blanks between them, characters."""
    words = _WORDS.findall(_plain(text))
    return Counter(part for word in words for part in (word if _CJK.search(word) else (word,)))


def _plain(text: str | None) -> str:
    return _fold(unicodedata.normalize("NFKC", text or "").translate(_QUOTES)).lower()


def _authors(wanted: Any, given: Answer) -> bool | None:
    names = {_plain(name) for name in wanted.get("authors") or []}
    return names == {_plain(name) for name in given.authors} if names else None


def _time(value: Any) -> datetime | None:
    if isinstance(value, datetime) or not value:
        return value or None
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - no zone was given
    text = str(value).strip()
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        match = _DATE.match(text)
        return datetime(*map(int, match.groups())) if match else None  # type: ignore[arg-type] # noqa: DTZ001


def _same_day(wanted: datetime | None, given: datetime | None) -> bool:
    """In the publisher's own zone, or as both are written."""
    if wanted is None or given is None:
        return False
    if wanted.tzinfo and given.tzinfo and given.astimezone(wanted.tzinfo).date() == wanted.date():
        return True
    return wanted.date() == given.date()


def _same_minute(wanted: datetime | None, given: datetime | None) -> bool:
    if wanted is None or given is None or bool(wanted.tzinfo) is not bool(given.tzinfo):
        return False
    if wanted.tzinfo:
        wanted, given = wanted.astimezone(UTC), given.astimezone(UTC)
    return abs((wanted - given).total_seconds()) < 60


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return fmean(values) if values else 0.0


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


SCORES: dict[str, Callable[[Answered], dict[str, float]]] = {
    "aeb": aeb,
    "traf": traf,
    "fundus": fundus,
}
