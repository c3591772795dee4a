"""How well and how fast articles are extracted: Kabar beside six others, on three public data sets.

    python -m bench.extraction --data DIR [--quick] [--check] [--json]

DIR, or what the variable BENCH_DATA names, holds the data sets `aeb`, `traf` and `fundus` (see
`extraction_eval/documents.py`); they are other people's pages and stand in no repository of ours.
Without it the exit code is 2.

Every document goes through all contenders before the next does, in one process on one core, each
time in another order, and the CPU time of each call is counted. A crash is a page without an
answer. Kabar gives all that it gives in production, times to the minute and names included;
trafilatura gives its metadata, as whoever calls it for articles has it do; the others what they
are called for.

`--quick` takes every fifth document. `--check` ends with 1 when a target is missed.
"""

import argparse
import json
import logging
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lxml.html
import newspaper
import trafilatura
from readability import Document as Readability
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding
from resiliparse.parse.html import HTMLTree
from rich.console import Console
from rich.table import Table

from bench.extraction_eval.documents import SETS, DataError, Document, read
from bench.extraction_eval.scores import SCORES, Answer
from worker.articles import ExtractionError, Page, extract

TARGETS = {
    "aeb": {"f1": 0.975},
    "traf": {"f1": 0.945},
    "fundus": {"f1": 0.972, "title": 0.82, "day": 0.985, "minute": 0.96, "authors": 0.86},
}
TIMES_TRAFILATURA = 1.4  # documents a CPU second, on each set
QUICK_STEP = 5
WARM_UP = b"<html><head><title>t</title></head><body><article><p>%s</p></article></body></html>"
FETCHED = datetime(2026, 11, 25, tzinfo=UTC)

Extractor = Callable[[bytes, str], Answer]


def main() -> int:
    options = parse()
    logging.disable()  # what the others say of pages that they make little of
    warnings.simplefilter("ignore")
    try:
        sets = load(options.data, QUICK_STEP if options.quick else 1)
    except DataError as error:
        print(f"no data: {error}; name its folder by --data or BENCH_DATA", file=sys.stderr)
        return 2
    found = report(sets)
    Console(stderr=options.json).print(table(found))
    if options.json:
        print(json.dumps(found))
    return 1 if options.check and not found["passed"] else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    folder = os.environ.get("BENCH_DATA")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=Path(folder) if folder else None,
        help="holds aeb/, traf/ and fundus/",
    )
    parser.add_argument("--quick", action="store_true", help=f"every {QUICK_STEP}th document")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a target is missed")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser.parse_args()


def load(folder: Path | None, step: int) -> dict[str, list[Document]]:
    if folder is None:
        raise DataError("it is no part of the repository")
    return {name: list(read(folder, name))[::step] for name in SETS}


# -- The contenders


def kabar(html: bytes, url: str) -> Answer:
    try:
        article = extract(Page(url, html, None, FETCHED))
    except ExtractionError:
        return Answer()
    at = article.published_at
    if at and not article.zone_written:  # then the sets have none either: as it is on the page
        at = at.replace(tzinfo=None)
    return Answer(article.text, article.lead or "", article.title, article.authors, at)


def standard(html: bytes, url: str) -> Answer:
    return _trafilatura(html, url)


def fast(html: bytes, url: str) -> Answer:
    return _trafilatura(html, url, fast=True)


def precision(html: bytes, url: str) -> Answer:
    return _trafilatura(html, url, favor_precision=True)


def _trafilatura(html: bytes, url: str, **options: bool) -> Answer:
    found: Any = trafilatura.bare_extraction(
        html, url=url, include_comments=False, with_metadata=True, **options
    )
    if found is None:
        return Answer()
    names = tuple(name.strip() for name in (found.author or "").split(";") if name.strip())
    return Answer(found.text or "", title=found.title or "", authors=names, date=found.date)


def readability(html: bytes, url: str) -> Answer:
    page = Readability(html, url=url)
    tree = lxml.html.fromstring(page.summary(html_partial=True))
    for element in tree.iter("p", "br", "div", "li", "h1", "h2", "h3", "h4", "tr", "blockquote"):
        element.tail = f"\n{element.tail or ''}"
    return Answer(tree.text_content(), title=page.short_title())


def resiliparse(html: bytes, url: str) -> Answer:
    tree = HTMLTree.parse(bytes_to_str(html, detect_encoding(html)))
    text = extract_plain_text(
        tree, main_content=True, alt_texts=False, comments=False, list_bullets=False
    )
    return Answer(text, title=tree.title or "")


def newspaper4k(html: bytes, url: str) -> Answer:
    article = newspaper.Article(url, fetch_images=False)
    article.download(input_html=html)
    article.parse()
    return Answer(
        article.text, title=article.title, authors=tuple(article.authors), date=article.publish_date
    )


CONTENDERS: dict[str, Extractor] = {
    "kabar": kabar,
    "trafilatura": standard,
    "trafilatura_fast": fast,
    "trafilatura_precision": precision,
    "readability": readability,
    "resiliparse": resiliparse,
    "newspaper4k": newspaper4k,
}
NAMES = {
    "kabar": "Kabar",
    "trafilatura": "trafilatura, standard",
    "trafilatura_fast": "trafilatura, fast",
    "trafilatura_precision": "trafilatura, precision",
    "readability": "readability-lxml",
    "resiliparse": "Resiliparse",
    "newspaper4k": "newspaper4k",
}
SET_NAMES = {"aeb": "AEB", "traf": "990 documents", "fundus": "fundus"}
MEASURES = {"f1": "F", "title": "title", "day": "day", "minute": "minute", "authors": "authors"}


# -- The run


def report(sets: Mapping[str, list[Document]]) -> dict[str, Any]:
    for extractor in CONTENDERS.values():  # what each loads when it is first called
        timed(
            extractor, Document("", "https://example.org/a", WARM_UP % (b"Some words. " * 60), None)
        )
    results: dict[str, dict[str, Any]] = {name: {} for name in CONTENDERS}
    for name, documents in sets.items():
        for contender, result in contest(name, documents).items():
            results[contender][name] = result
    return {
        "title": "Extraction of articles",
        "note": note(sets),
        "figures": figures(results),
        **results,
        "targets": {**TARGETS, "times_trafilatura": TIMES_TRAFILATURA},
        "passed": not missed(results),
        "missed": missed(results),
    }


def contest(name: str, documents: Iterable[Document]) -> dict[str, dict[str, float]]:
    """Scores and speed of each contender on one set."""
    answered: dict[str, list[tuple[Document, Answer]]] = {one: [] for one in CONTENDERS}
    spent = dict.fromkeys(CONTENDERS, 0.0)
    crashes = dict.fromkeys(CONTENDERS, 0)
    order = deque(CONTENDERS.items())
    for document in documents:
        order.rotate()  # who comes first finds the caches cold
        for contender, extractor in order:
            answer, seconds = timed(extractor, document)
            spent[contender] += seconds
            crashes[contender] += answer is None
            answered[contender].append((document, answer or Answer()))
    return {
        contender: {
            **SCORES[name](answers),
            "documents_per_cpu_second": len(answers) / spent[contender],
            "crashes": crashes[contender],
        }
        for contender, answers in answered.items()
    }


def timed(extractor: Extractor, document: Document) -> tuple[Answer | None, float]:
    """The answer, None for a crash, and the CPU seconds that it took."""
    began = time.process_time()
    try:
        answer = extractor(document.html, document.url)
    except Exception:  # noqa: BLE001 - whatever a contender fails with is a miss
        answer = None
    return answer, time.process_time() - began


def missed(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """The targets that Kabar missed, in words."""
    ours, theirs = results["kabar"], results["trafilatura"]
    speed = "documents_per_cpu_second"
    return [
        f"{SET_NAMES[name]} {measure} {ours[name][measure]:.4f}, not {least}"
        for name, targets in TARGETS.items()
        for measure, least in targets.items()
        if ours[name][measure] < least
    ] + [
        f"{SET_NAMES[name]} {ours[name][speed] / theirs[name][speed]:.2f} times trafilatura's speed"
        for name in TARGETS
        if ours[name][speed] < TIMES_TRAFILATURA * theirs[name][speed]
    ]


def note(sets: Mapping[str, list[Document]]) -> str:
    counts = ", ".join(f"{SET_NAMES[name]} {len(documents)}" for name, documents in sets.items())
    return (
        f"Pages: {counts}. F as each set's authors count it: AEB bodies without headline and "
        "standfirst, the others with the standfirst. Targets are Kabar's."
    )


def figures(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[dict[str, Any]]:
    made = []
    for contender, sets in results.items():
        for name, result in sets.items():
            start = f"{NAMES[contender]}, {SET_NAMES[name]}"
            for measure, shown in MEASURES.items():
                if measure == "f1" or (measure in result and contender == "kabar"):
                    value = round(result[measure], 4)
                    made.append({"name": f"{start}: {shown}", "value": value, "unit": ""})
            speed = round(result["documents_per_cpu_second"], 1)
            made.append({"name": start, "value": speed, "unit": "documents per CPU second"})
    return made


def table(found: Mapping[str, Any]) -> Table:
    made = Table(title=f"{found['title']}: {'passed' if found['passed'] else 'missed'}")
    made.add_column("F (pages a CPU second)", no_wrap=True)
    for name in SETS:
        made.add_column(SET_NAMES[name], justify="right", no_wrap=True)
    for contender, shown in NAMES.items():
        cells = (
            f"{result['f1']:.4f} ({result['documents_per_cpu_second']:.0f})"
            for result in (found[contender][name] for name in SETS)
        )
        made.add_row(shown, *cells)
    fields = found["kabar"]["fundus"]
    shares = ", ".join(f"{shown} {fields[one]:.3f}" for one, shown in list(MEASURES.items())[1:])
    made.caption = "; ".join((f"Kabar's fields on fundus: {shares}", *found["missed"]))
    return made


if __name__ == "__main__":
    sys.exit(main())
