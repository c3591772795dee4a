"""How close an engine's translations come to good ones, and how fast it is.

    python -m bench.translate [--pairs FILE.tsv] [--engine NAME ...] [--quick] [--check] [--json]

A line of FILE is a text, a tab, and a good translation of it; the file's name, or `--source` and
`--target`, say from which language into which. Without one it is `data/id-en.tsv`: 100 Indonesian
news of our own, sentences, headlines and summaries. Engines are those of `[translate]`, set up by
Kabar's own settings (`KABAR_…`); each gets eight texts a call, as articles do, with all the time it
wants. Unless engines are named it is `local-llm`, for which nothing is fetched; for `firefox` run
`kabar models fetch` first. An engine that is not installed, lacks its model or cannot be reached is
named and left out.

BLEU and chrF are sacrebleu's, of all texts together. Time is the clock's, once the engine has been
warmed up by one text. Texts are rejected that the gates of `worker.language.judge` keep from being
shown, and marked that are shown with a flag of theirs.

`--quick` takes every fifth pair. `--check` ends with 1 when `local-llm` does worse than it did.
Where no engine can be measured the exit code is 2.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_args

from rich.console import Console
from rich.table import Table
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from bench.__main__ import NOT_HERE
from worker.http import Client, Response
from worker.language.judge import judge
from worker.language.sentences import split
from worker.language.translate import Engine, EngineError, Post, Translation
from worker.language.translate.deepl import DeepL
from worker.language.translate.firefox import Firefox
from worker.language.translate.google import Google
from worker.language.translate.libretranslate import LibreTranslate
from worker.language.translate.local_llm import LocalLlm
from worker.language.translate.openai import OpenAi
from worker.settings import ConfigError, EngineName, HttpSettings, Settings, load

TARGETS = {"local-llm": {"bleu": 12.0, "chrf": 40.0}}  # what it did, less what chance may take
PAIRS = Path(__file__).parent / "data" / "id-en.tsv"
NAMES = [name for name in get_args(EngineName) if name != "none"]
BY_ITSELF = "local-llm"
AT_ONCE = 8
QUICK = 5
UNHURRIED_SECONDS = 600.0  # the most that the settings allow
ANSWER_BYTES = 1_000_000
COLUMNS = {
    "bleu": ("BLEU", ""),
    "chrf": ("chrF", ""),
    "per_second": ("sentences a second", "1/s"),
    "rejected": ("texts rejected by the gates", "%"),
    "marked": ("texts marked by the gates", "%"),
}

Pair = tuple[str, str]
Figures = Mapping[str, float]


class NotHereError(Exception):
    """An engine cannot be measured here; the message says why."""


def main() -> int:
    options = parse()
    pairs = read_pairs(options.pairs)[:: QUICK if options.quick else 1]
    found: dict[str, Figures] = {}
    for name in dict.fromkeys(options.engine or [BY_ITSELF]):
        try:
            found[name] = measure(name, pairs, options.source, options.target)
        except NotHereError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    if not found:
        return NOT_HERE
    said = report(found, len(pairs), f"{options.source}-{options.target}")
    Console(stderr=options.json).print(table(said))
    if options.json:
        print(json.dumps(said))
    return 1 if options.check and not said["passed"] else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="of texts and translations")
    parser.add_argument("--source", help="language; else the file's name says it")
    parser.add_argument("--target", help="as --source")
    parser.add_argument("--engine", action="append", choices=NAMES, help=f"{BY_ITSELF} by default")
    parser.add_argument("--quick", action="store_true", help=f"every {QUICK}th pair")
    parser.add_argument("--check", action="store_true", help="exit code 1 when under a target")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    source, _, target = options.pairs.stem.partition("-")
    options.source, options.target = options.source or source, options.target or target
    if not options.source or not options.target:
        parser.error(f"{options.pairs}: name the file as id-en.tsv, or say --source and --target")
    return options


def read_pairs(path: Path) -> list[Pair]:
    """Texts and their translations. Raises `SystemExit` where a line is not one of each."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"{path}: {error}") from None
    pairs = []
    for number, line in enumerate(lines, 1):
        columns = line.split("\t")
        if len(columns) != 2 or not all(map(str.strip, columns)):
            raise SystemExit(f"{path}:{number}: not a text, a tab and its translation")
        pairs.append((columns[0], columns[1]))
    if not pairs:
        raise SystemExit(f"{path}: no pairs")
    return pairs


def measure(name: str, pairs: Sequence[Pair], source: str, target: str) -> Figures:
    """The figures of COLUMNS. Raises `NotHereError`."""
    with ExitStack() as stack:
        settings = settings_of(name)
        post = stack.enter_context(Network(settings.http)).post
        engine = ENGINES[name](settings, post)
        stack.callback(engine.close)
        if not engine.knows(source, target):
            raise NotHereError(f"not installed, or no model from {source} to {target}")
        try:
            engine.translate([pairs[0][0]], source, target, seconds=UNHURRIED_SECONDS)
            began = time.monotonic()
            made = list(translated(engine, [text for text, _ in pairs], source, target))
        except EngineError as error:
            raise NotHereError(error.detail) from None
        seconds = time.monotonic() - began
    texts = [one.text for one in made]
    return {
        "bleu": BLEU().corpus_score(texts, [[good for _, good in pairs]]).score,
        "chrf": CHRF().corpus_score(texts, [[good for _, good in pairs]]).score,
        "per_second": sum(len(split(text, source)) for text, _ in pairs) / seconds,
        **judged(pairs, texts, source, target, is_llm=engine.is_llm),
    }


def settings_of(name: str) -> Settings:
    """Kabar's own, with this engine alone and no hurry. Raises `NotHereError`."""
    section = f"KABAR_TRANSLATE__{name.replace('-', '_').upper()}"
    os.environ["KABAR_TRANSLATE__ENGINES"] = name
    os.environ[f"{section}__TIMEOUT_SECONDS"] = str(UNHURRIED_SECONDS)
    try:
        return load()
    except ConfigError as error:
        raise NotHereError(str(error)) from None


def translated(
    engine: Engine, texts: Sequence[str], source: str, target: str
) -> Iterator[Translation]:
    for start in range(0, len(texts), AT_ONCE):
        batch = texts[start : start + AT_ONCE]
        yield from engine.translate(batch, source, target, seconds=UNHURRIED_SECONDS)
        print(f"{engine.name}: {start + len(batch)} of {len(texts)} texts", file=sys.stderr)


def judged(
    pairs: Sequence[Pair], texts: Sequence[str], source: str, target: str, *, is_llm: bool
) -> Figures:
    """Percentages of texts."""
    verdicts = [
        judge(said, text, source, target, is_llm=is_llm)
        for (said, _), text in zip(pairs, texts, strict=True)
    ]
    share = 100 / len(verdicts)
    return {
        "rejected": share * sum(bool(verdict.hard) for verdict in verdicts),
        "marked": share * sum(bool(verdict.soft) and not verdict.hard for verdict in verdicts),
    }


class Network:
    """Kabar's HTTP client, for one thread that waits for each answer. A context manager."""

    def __init__(self, settings: HttpSettings) -> None:
        self._client = Client(settings)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self._runner.run(self._client.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._runner.run(self._client.__aexit__(kind, error, traceback))
        self._runner.__exit__(kind, error, traceback)

    def post(self, url: str, body: bytes, **options: Any) -> Response:
        """As the engines ask: see `worker.language.translate.services.Post`."""
        request = self._client.post(
            url, body, max_bytes=ANSWER_BYTES, allow_private=True, **options
        )
        return self._runner.run(request)


ENGINES: Mapping[str, Callable[[Settings, Post], Engine]] = {
    "firefox": lambda settings, _: Firefox(
        settings.translate.firefox, settings.models_dir, settings.http
    ),
    "local-llm": lambda settings, _: LocalLlm(settings.translate.local_llm, settings.models_dir),
    "openai": lambda settings, post: OpenAi(settings.translate.openai, post),
    "libretranslate": lambda settings, post: LibreTranslate(
        settings.translate.libretranslate, post
    ),
    "deepl": lambda settings, post: DeepL(settings.translate.deepl, post),
    "google": lambda settings, post: Google(settings.translate.google, post),
}


def report(found: Mapping[str, Figures], count: int, languages: str) -> dict[str, Any]:
    return {
        "title": "Translation",
        "note": f"{count} texts, {languages}: BLEU and chrF by sacrebleu, against one good "
        "translation each.",
        "figures": [
            {"name": f"{name}, {label}", "value": round(figures[key], 2), "unit": unit}
            for name, figures in found.items()
            for key, (label, unit) in COLUMNS.items()
        ],
        **found,
        "targets": TARGETS,
        "passed": all(
            found[name][key] >= least
            for name, targets in TARGETS.items()
            if name in found
            for key, least in targets.items()
        ),
    }


def table(said: Mapping[str, Any]) -> Table:
    shown = Table(title=f"{said['title']}: {'passed' if said['passed'] else 'missed'}")
    shown.add_column("figure")
    shown.add_column("value", justify="right")
    for figure in said["figures"]:
        shown.add_row(figure["name"], f"{figure['value']:g} {figure['unit']}")
    shown.caption = said["note"]
    return shown


if __name__ == "__main__":
    sys.exit(main())
