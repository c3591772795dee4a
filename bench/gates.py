"""What the gates of `worker.language.judge` catch of planted faults, and how often they cry wolf.

    python -m bench.gates [--quick] [--check] [--json]

Good translations are pairs of our own: 100 from Indonesian (`data/id-en.tsv`) and 14 news in 14
other languages (`data/pairs.tsv`), with which the gates were written; and held out from that, 30
more from Indonesian and four other news in the 14 languages (`data/heldout.tsv`). Each is judged as
it is, which is where an alarm is a false one, and with each fault planted in it. A fault counts as
caught when any gate says something; `rejected` is the share that a hard gate keeps from being
shown. False alarms are looked for among fifteen sentences in 27 languages too
(`data/languages.toml`), which have no numbers that a fault could change. The targets are for what
was held out.

`--quick` takes every fourth pair. `--check` ends with 1 when a target is missed.
"""

import argparse
import json
import re
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from worker.language import load
from worker.language.judge import Verdict, judge

# The last two are to be better than what the same gates did when they were first tried.
TARGETS = {"caught": 0.90, "false_alarms": 0.03, "cut to 70 %": 0.145, "preamble": 0.07}
DATA = Path(__file__).parent / "data"
QUICK = 4

PREAMBLES = (
    "Sure! Here is the English translation: ",
    "Here's the text in English:\n\n",
    "Translation: ",
    "Certainly. The passage translates as follows:\n",
    "**English translation:**\n",
    "Okay, I have translated the news item for you:\n",
    "Berikut adalah terjemahannya dalam bahasa Inggris: ",
    "As requested, the translated text:\n",
    "The English version of this text is:\n",
    "I translated it into English. ",
)
FRENCH = (
    "Le gouvernement a annoncé vendredi de nouvelles mesures pour soutenir les agriculteurs.",
    "Les habitants de la région attendent depuis des semaines une réponse des autorités.",
    "La police a ouvert une enquête après l'incendie qui a détruit plusieurs maisons.",
)


@dataclass(frozen=True)
class Pair:
    """A text in `language`, and a good translation of it into English."""

    language: str
    source: str
    english: str


Plant = Callable[[Pair, int, Sequence[Pair]], str | None]


def main() -> int:
    options = parse()
    load()
    step = QUICK if options.quick else 1
    held_out, known = read("heldout.tsv")[::step], [*read("id-en.tsv"), *read("pairs.tsv")][::step]
    sentences = read_sentences()[::step]
    found = report(measure(held_out, sentences), measure(known))
    Console(stderr=options.json).print(table(found))
    for alarm in alarms([*held_out, *sentences, *known]):
        print(alarm, file=sys.stderr)
    if options.json:
        print(json.dumps(found))
    return 1 if options.check and not found["passed"] else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help=f"every {QUICK}th pair")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a target is missed")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    return parser.parse_args()


def read(name: str) -> list[Pair]:
    rows = [line.split("\t") for line in (DATA / name).read_text("utf-8").splitlines()]
    return [Pair(*row) if len(row) == 3 else Pair("id", *row) for row in rows]


def read_sentences() -> list[Pair]:
    texts = tomllib.loads((DATA / "languages.toml").read_text("utf-8"))
    lines = {language: text.strip().splitlines() for language, text in texts.items()}
    english = lines.pop("en")
    return [
        Pair(language, *both)
        for language, theirs in lines.items()
        for both in zip(theirs, english, strict=True)
    ]


def untranslated(pair: Pair, _number: int, _pairs: Sequence[Pair]) -> str:
    return pair.source


def loop(pair: Pair, _number: int, _pairs: Sequence[Pair]) -> str:
    words = pair.english.split()
    middle = len(words) // 2
    return " ".join([*words[:middle], *(words[middle : middle + 2] * 5), *words[middle + 2 :]])


def digits(pair: Pair, _number: int, _pairs: Sequence[Pair]) -> str | None:
    changed = re.sub(r"[1-9]", lambda digit: str(int(digit[0]) % 9 + 1), pair.english, count=1)
    return changed if changed != pair.english else None


def other_language(_pair: Pair, number: int, _pairs: Sequence[Pair]) -> str:
    return FRENCH[number % len(FRENCH)]


def cut(share: float) -> Plant:
    def plant(pair: Pair, _number: int, _pairs: Sequence[Pair]) -> str:
        return pair.english[: int(len(pair.english) * share)].rstrip()

    return plant


def other_text(pair: Pair, number: int, pairs: Sequence[Pair]) -> str | None:
    other = pairs[(number + 3) % len(pairs)].english
    return other if other != pair.english else None


def preamble(pair: Pair, number: int, _pairs: Sequence[Pair]) -> str:
    return PREAMBLES[number % len(PREAMBLES)] + pair.english


def invented(pair: Pair, _number: int, _pairs: Sequence[Pair]) -> str:
    return f"{pair.english} Read more at https://news.example.com/story."


FAULTS: Mapping[str, Plant] = {
    "untranslated": untranslated,
    "loop": loop,
    "changed digits": digits,
    "other language": other_language,
    "cut to 40 %": cut(0.4),
    "cut to 70 %": cut(0.7),
    "another text": other_text,
    "preamble": preamble,
    "invented URL": invented,
}


def verdicts(pairs: Sequence[Pair], plant: Plant) -> Iterator[Verdict]:
    for number, pair in enumerate(pairs):
        if (output := plant(pair, number, pairs)) is not None:
            yield judge(pair.source, output, pair.language, "en")


def alarms(pairs: Sequence[Pair]) -> Iterator[str]:
    for pair in pairs:
        verdict = judge(pair.source, pair.english, pair.language, "en")
        if verdict.hard or verdict.soft:
            gates = ", ".join((*verdict.hard, *verdict.soft))
            yield f"{pair.language}: {gates}: {pair.english}"


def measure(pairs: Sequence[Pair], more: Sequence[Pair] = ()) -> dict[str, Any]:
    """Shares of faults in `pairs` and of alarms over them and `more`, and milliseconds a text."""
    caught: dict[str, float] = {}
    rejected: dict[str, float] = {}
    total = all_caught = 0
    for fault, plant in FAULTS.items():
        found = list(verdicts(pairs, plant))
        said = [bool(one.hard or one.soft) for one in found]
        caught[fault] = sum(said) / len(found)
        rejected[fault] = sum(bool(one.hard) for one in found) / len(found)
        total, all_caught = total + len(found), all_caught + sum(said)
    good = [*pairs, *more]
    began = time.process_time()
    false_alarms = sum(1 for _ in alarms(good)) / len(good)
    milliseconds = 1_000 * (time.process_time() - began) / len(good)
    return {
        "pairs": len(pairs),
        "good": len(good),
        "faults": total,
        "caught": all_caught / total,
        "by_fault": caught,
        "rejected": rejected,
        "false_alarms": false_alarms,
        "milliseconds": milliseconds,
    }


def report(held_out: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    caught = held_out["by_fault"]
    return {
        "title": "Gates of translation",
        "note": f"{held_out['faults']} faults planted in {held_out['pairs']} good translations "
        f"into English, and alarms over {held_out['good']}, that the gates were not written with; "
        f"with the {known['pairs']} that they were written with {100 * known['caught']:.1f} % and "
        f"{100 * known['false_alarms']:.1f} %.",
        "figures": [
            {"name": "faults caught", "value": round(100 * held_out["caught"], 1), "unit": "%"},
            *(
                {"name": f"{fault}: caught", "value": round(100 * share, 1), "unit": "%"}
                for fault, share in caught.items()
            ),
            {
                "name": "false alarms",
                "value": round(100 * held_out["false_alarms"], 1),
                "unit": "%",
            },
            {"name": "CPU time a text", "value": round(held_out["milliseconds"], 2), "unit": "ms"},
        ],
        "kabar": held_out,
        "known": known,
        "targets": TARGETS,
        "passed": held_out["caught"] >= TARGETS["caught"]
        and held_out["false_alarms"] <= TARGETS["false_alarms"]
        and all(caught[fault] > TARGETS[fault] for fault in ("cut to 70 %", "preamble")),
    }


def table(found: Mapping[str, Any]) -> Table:
    shown = Table(title=f"{found['title']}: {'passed' if found['passed'] else 'missed'}")
    held_out, known = found["kabar"], found["known"]
    shown.add_column("fault")
    for column in ("caught", "rejected", "caught, known pairs"):
        shown.add_column(column, justify="right")
    for fault, share in held_out["by_fault"].items():
        shares = share, held_out["rejected"][fault], known["by_fault"][fault]
        shown.add_row(fault, *map(percent, shares))
    shown.add_section()
    shown.add_row("all faults", percent(held_out["caught"]), "", percent(known["caught"]))
    alarms_of = percent(held_out["false_alarms"]), "", percent(known["false_alarms"])
    shown.add_row("none (false alarms)", *alarms_of)
    return shown


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
