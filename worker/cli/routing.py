"""Which stories an endpoint is told of: the options that say so, and how it is shown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from worker.cli.output import CommandError, clean, print_json, print_table
from worker.http import redacted
from worker.store import feeds, stories
from worker.webhooks import Rules, Verdict, check_rules, read_rules
from worker.webhooks.events import EVENT_TYPES, STORY_CREATED
from worker.webhooks.match import MOST_SOURCES

Event = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TYPE",
        help=f"What to tell of: {', '.join(EVENT_TYPES)}; may be repeated, default: new stories.",
    ),
]
Language = Annotated[
    list[str] | None, typer.Option(metavar="TAG", help="Only stories in one of these languages.")
]
Feed = Annotated[
    list[str] | None, typer.Option(metavar="FEED", help="Only what one of these feeds lists.")
]
FeedTag = Annotated[
    list[str] | None,
    typer.Option(metavar="TAG", help="Only what a feed with one of these tags lists."),
]
Publisher = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME|HOST", help="Only stories of one of these publishers."),
]
Topic = Annotated[
    list[str] | None,
    typer.Option(metavar="WORD", help="Only stories that their site files under one of these."),
]
AnyOf = Annotated[
    list[str] | None,
    typer.Option(
        "--any",
        metavar="WORD",
        help="Only stories with one of these words in title or summary, original or translated. "
        "word* takes words that begin so, /…/ is a pattern of RE2.",
    ),
]
AllOf = Annotated[
    list[str] | None,
    typer.Option("--all", metavar="WORD", help="Only stories with all of these words."),
]
NoneOf = Annotated[
    list[str] | None,
    typer.Option("--none", metavar="WORD", help="Only stories with none of these words."),
]
MinSources = Annotated[
    int,
    typer.Option(min=1, max=MOST_SOURCES, help="Tell of a story once as many publishers carry it."),
]

_SHOWN = {"any_of": "any of", "all_of": "all of", "none_of": "none of", "min_sources": "sources"}


def event_types(asked: Sequence[str] | None) -> list[str]:
    """The types that were asked for; raises `CommandError` for one that there is not."""
    types = list(dict.fromkeys(asked or [STORY_CREATED]))
    if unknown := [one for one in types if one not in EVENT_TYPES]:
        raise CommandError(f"there is no event {unknown[0]!r}; there are {', '.join(EVENT_TYPES)}")
    return types


def make_rules(
    engine: Engine,
    find_feed: Callable[[Engine, str], Mapping[str, Any]],
    asked: Mapping[str, Any],
) -> Rules:
    """The rules that options say; raises `InvalidRuleError`, or what `find_feed` raises."""
    given: dict[str, Any] = {
        name: tuple(dict.fromkeys(value)) if isinstance(value, list) else value
        for name, value in asked.items()
        if value
    }
    if named := given.pop("feeds", None):
        given["feeds"] = tuple(dict.fromkeys(find_feed(engine, one)["id"] for one in named))
    rules = Rules(**given)
    check_rules(rules)
    return rules


def shown(engine: Engine, row: Mapping[str, Any]) -> dict[str, str]:
    """The rules of an endpoint's row as lines for people, by their names."""
    named = {feed["id"]: redacted(feed["url"]) for feed in feeds.listing(engine)}
    lines = {}
    for name, value in (row["rules"] or {}).items():
        values = [named.get(one, str(one)) for one in value] if name == "feeds" else value
        text = ", ".join(map(str, values)) if isinstance(values, list) else f"{values} at least"
        lines[_SHOWN.get(name, name.replace("_", " "))] = text
    return lines


def explain(engine: Engine, row: Mapping[str, Any], story_id: int, as_json: bool) -> None:
    """Print rule by rule whether a story is for an endpoint; raises `CommandError` without it."""
    found = stories.judged(engine, story_id, row["event_types"], read_rules(row["rules"]))
    if found is None:
        raise CommandError(f"there is no story {story_id}: `kabar stories list` shows the newest")
    delivery = found.delivery_to(row["id"])
    if as_json:
        print_json(
            {"story_id": story_id, "wanted": found.wanted, "told": found.is_told,
             "delivery": delivery, "rules": [_document(one) for one in found.verdicts]}
        )  # fmt: skip
        return
    print_table(
        [_document(one) for one in found.verdicts],
        {"rule": None, "wanted": _joined, "found": _joined, "passed": _yes},
        empty="",
    )
    typer.echo(clean(f"\n{_summary(row['name'], found, delivery)}"))


def _summary(name: str, found: stories.Judged, delivery: Mapping[str, Any] | None) -> str:
    failed = [_SHOWN.get(one.rule, one.rule) for one in found.verdicts if not one.passed]
    says = f"not for {name}: {', '.join(failed)}" if failed else f"{name} wants this story"
    if delivery:
        return f"{says}; it was told of it: delivery {delivery['id']} is {delivery['state']}"
    if not found.is_told:
        return f"{says}; nobody was told of it: its article was there before its feed was followed"
    return says if failed else f"{says}; it was opened before the endpoint or its rules were there"


def _document(verdict: Verdict) -> dict[str, Any]:
    return {
        "rule": verdict.rule, "wanted": verdict.wanted, "found": verdict.found,
        "passed": verdict.passed,
    }  # fmt: skip


def _joined(values: Sequence[str]) -> str:
    return clean(", ".join(values)) or "none"


def _yes(passed: bool) -> str:
    return "yes" if passed else "no"
