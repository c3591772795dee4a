"""`kabar feeds`: the list of feeds."""

from typing import Annotated

import typer

from worker.cli.output import Json, open_store, print_json, print_table, record, when
from worker.store import feeds

app = typer.Typer(help="The feeds that are followed.", no_args_is_help=True)


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="The feed's URL.")],
    interval_seconds: Annotated[
        float | None, typer.Option(min=1, help="Between polls; default: the settings'.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Follow a feed; it is polled at once."""
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
            "id": None, "state": None, "title": None, "url": None, "articles": None,
            "polled_at": when, "due_at": when, "failures": None, "detail": None,
        },
        empty="no feeds yet: add one with `kabar feeds add URL`",
    )  # fmt: skip
