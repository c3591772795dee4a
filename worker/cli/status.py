"""`kabar status`: what waits where, who works on it, and what is wrong."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text
from sqlalchemy import Engine

from worker import settings as configuration
from worker.cli import queues
from worker.cli.output import Json, make_console, make_table, open_store, print_json, record, when
from worker.errors import KabarError
from worker.store import feeds, processes, status, tallies, translations, webhooks
from worker.store.status import StageStatus

app = typer.Typer()

_LOOK_SECONDS = 2.0
_NAMED = 3
_LATE = timedelta(seconds=30)  # a stage whose oldest row waits for longer does not keep up


@app.command("status")
def show(
    watch: Annotated[bool, typer.Option("--watch", help="Look again every 2 s.")] = False,
    as_json: Json = False,
) -> None:
    """What waits in each stage, which processes live, and which feeds and endpoints fail."""
    with open_store() as engine:
        if as_json:
            print_json(_document(engine))
        elif watch:
            _watch(engine)
        else:
            make_console().print(_screen(_document(engine)))


def _watch(engine: Engine) -> None:
    console = make_console()
    with suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while True:
            screen = _screen(_document(engine))
            if console.is_terminal:
                live.update(screen, refresh=True)
            else:  # nothing to draw over: each look follows the last
                console.print(screen)
            time.sleep(_LOOK_SECONDS)


def _document(engine: Engine) -> dict[str, Any]:
    days = configuration.load().translate.backfill_days
    stages = status.stages(engine)
    rates = tallies.per_minute(engine)
    lengths, problem = _queues()
    return {
        "stages": [asdict(stage) | {"per_minute": rates.get(stage.stage, 0)} for stage in stages],
        "bottleneck": bottleneck(stages, datetime.now(UTC)),
        "queues": lengths,
        "broker_problem": problem,
        "processes": [
            record(row) | {"healthy": processes.is_healthy(datetime.now(UTC) - row["seen_at"])}
            for row in processes.listing(engine)
        ],
        "failing_feeds": [
            {name: row[name] for name in ("id", "url", "failures", "reason", "detail", "due_at")}
            for row in feeds.listing(engine)
            if row["failures"]
        ],
        "failing_endpoints": _failing(webhooks.listing(engine)),
        "untranslated": translations.untranslated(engine, timedelta(days=days)),
    }


def bottleneck(stages: Sequence[StageStatus], now: datetime) -> str | None:
    """The stage whose oldest row has waited longest, if that is for longer than it should."""
    late = [
        (stage.oldest_due_at, stage.stage)
        for stage in stages
        if stage.oldest_due_at and now - stage.oldest_due_at > _LATE
    ]
    return min(late)[1] if late else None


def _queues() -> tuple[dict[str, int] | None, str | None]:
    try:
        return queues.lengths(configuration.load()), None
    except KabarError as error:
        return None, str(error)


def _failing(endpoints: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: row[name] for name in ("id", "name", "state", "reason", "deliveries")}
        for row in endpoints
        if row["state"] == "disabled" or row["deliveries"].get("dead")
    ]


def _screen(document: dict[str, Any]) -> RenderableType:
    waiting = document["queues"] or {}
    stages = [row | {"queued": waiting.get(row["stage"], "?")} for row in document["stages"]]
    parts: list[RenderableType] = [
        make_table(
            stages,
            {"stage": None, "waiting": None, "in_work": None, "later": None, "oldest_due_at": when,
             "per_minute": None, "queued": None},
        ),
        Text(),
    ]  # fmt: skip
    if document["bottleneck"]:
        parts += [Text(f"bottleneck: {document['bottleneck']} does not keep up"), Text()]
    if document["broker_problem"]:
        parts += [Text(document["broker_problem"]), Text()]
    if document["processes"]:
        columns = {"name": None, "pid": None, "started_at": when, "seen_at": when, "healthy": _yes}
        parts.append(make_table(document["processes"], columns))
    else:
        parts.append(Text("no process was heard of: start `kabar up`"))
    for kind, name in (("feeds", "url"), ("endpoints", "name")):
        parts += [
            Text(f"\n{len(rows)} of the {kind} fail, such as {rows[0][name]}: `kabar {kind} list`")
            for rows in [document[f"failing_{kind}"]]
            if rows
        ]
    if left := document["untranslated"]:
        parts.append(Text(f"\n{_untranslated(left)}"))
    return Group(*parts)


def _untranslated(left: Sequence[dict[str, Any]]) -> str:
    total = sum(one["number"] for one in left)
    named = [f"{one['number']} {one['language'] or '?'} {one['reason']}" for one in left[:_NAMED]]
    more = ", …" if len(left) > _NAMED else ""
    verb = "article is" if total == 1 else "articles are"
    return f"{total} {verb} untranslated ({', '.join(named)}{more}): `kabar doctor`"


def _yes(healthy: bool) -> str:
    return "yes" if healthy else "silent"
