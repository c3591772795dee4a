"""`kabar feeds`: the list of feeds."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from sqlalchemy import Engine

from worker.cli.lookup import found
from worker.cli.output import (
    CommandError,
    Json,
    open_store,
    print_fields,
    print_json,
    print_table,
    record,
    when,
)
from worker.http import redacted
from worker.store import feeds

app = typer.Typer(help="The feeds that are followed.", no_args_is_help=True)

_Feed = Annotated[str, typer.Argument(metavar="ID|URL", help="The feed's number or URL.")]


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="The feed's URL.")],
    interval_seconds: Annotated[
        float | None, typer.Option(min=1, help="Between polls; default: the settings'.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Follow a feed; it is polled at once."""
    if Path(url).is_file():
        raise CommandError(f"{url} is a file: a feed is added by its URL, each one by itself")
    with open_store() as engine:
        added = feeds.add(engine, url, interval_seconds=interval_seconds)
    if as_json:
        print_json({"url": url, "added": added})
        return
    typer.echo(f"added {url}" if added else f"{url} is followed already")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the feeds: state, last poll, next poll, last error."""
    with open_store() as engine:
        rows = feeds.listing(engine)
    if as_json:
        print_json([record(row, "lease_token") for row in rows])
        return
    print_table(
        rows,
        {
            "id": None, "state": None, "title": None, "url": redacted, "articles": None,
            "polled_at": when, "due_at": when, "detail": None,
        },
        empty="no feeds yet: add one with `kabar feeds add URL`",
    )  # fmt: skip


@app.command()
def show(feed: _Feed, as_json: Json = False) -> None:
    """Show what is known of a feed: what came of its last poll, and when the next one is due."""
    with open_store() as engine:
        row = _find(engine, feed)
    if as_json:
        print_json(record(row, "lease_token"))
        return
    print_fields(
        {
            "feed": f"{row['id']}  {redacted(row['url'])}",
            "title": row["title"],
            "site": row["site_url"],
            "state": row["state"] + (" (by the feeds file)" if row["declared"] else ""),
            "last poll": f"{when(row['polled_at'])}, {_outcome(row)}" if row["polled_at"] else None,
            "last change": when(row["changed_at"]),
            "next poll": when(row["due_at"]) if row["state"] in {"active", "failing"} else "none",
            "failures in a row": row["failures"] or None,
        }
    )


@app.command()
def pause(feed: _Feed) -> None:
    """Stop polling a feed until it is resumed."""
    _set_state(feed, "paused")


@app.command()
def resume(feed: _Feed) -> None:
    """Poll a feed again, at once."""
    _set_state(feed, "active")


@app.command()
def remove(feed: _Feed) -> None:
    """Follow a feed no more; its articles and stories stay."""
    with open_store() as engine:
        row = _find(engine, feed)
        feeds.remove(engine, row["id"])
    typer.echo(f"removed {row['url']}")
    if row["declared"]:
        typer.echo("it stands in the feeds file, and comes back when that changes", err=True)


def _set_state(feed: str, state: Literal["active", "paused"]) -> None:
    with open_store() as engine:
        row = _find(engine, feed)
        feeds.set_state(engine, row["id"], state)
    typer.echo(f"{'resumed' if state == 'active' else 'paused'} {row['url']}")


def _find(engine: Engine, feed: str) -> dict[str, Any]:
    def urls() -> list[str]:
        return [row["url"] for row in feeds.listing(engine)]

    return found(feeds.find(engine, feed), "feed", feed, urls, "kabar feeds list")


def _outcome(row: dict[str, Any]) -> str:
    status = f" (status {row['status']})" if row["status"] else ""
    return f"{row['detail'] or row['reason'] or 'fine'}{status}"
