"""`kabar stories`: what was found."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from worker.cli.output import (
    CommandError,
    Json,
    clean,
    open_store,
    print_json,
    print_table,
    record,
    when,
)
from worker.store import stories

app = typer.Typer(help="The stories that were found.", no_args_is_help=True)

_MOST = 2**63 - 1  # that a store can count to
_INTERNAL = ("lease_token", "lease_until", "url_key", "canonical_key", "content_hash", "feed_entry")


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List the newest stories."""
    with open_store() as engine:
        rows = stories.listing(engine, limit)
    if as_json:
        print_json([record(row) for row in rows])
        return
    print_table(
        rows,
        {"id": None, "opened_at": when, "language": None, "article_count": None, "title": None},
        empty="no stories yet: add a feed with `kabar feeds add URL`, and start `kabar up`",
    )


@app.command()
def show(
    story_id: Annotated[
        int, typer.Argument(metavar="ID", min=1, max=_MOST, help="The story's number.")
    ],
    as_json: Json = False,
) -> None:
    """Show a story, its articles, and what happened to each of them."""
    with open_store() as engine:
        found = stories.find(engine, story_id)
    if found is None:
        raise CommandError(f"there is no story {story_id}: `kabar stories list` shows the newest")
    story, articles = found
    if as_json:
        print_json(record(story) | {"articles": [record(row, *_INTERNAL) for row in articles]})
        return
    parts = (story["title"], story["summary"] or "(no summary)", story["url"] or "(no link)")
    typer.echo(clean("\n\n".join(parts)))
    for article in articles:
        typer.echo(clean(f"\narticle {article['id']}  {article['url'] or '(no link)'}"))
        for line in article["history"]:
            typer.echo(f"  {clean(_line(line))}")


def _line(line: Mapping[str, Any]) -> str:
    detail = f" ({line['detail']})" if line.get("detail") else ""
    why = f": {line['reason']}{detail}" if line.get("reason") else ""
    return f"{line['at'][:19].replace('T', ' ')}Z  {line['stage']:<9}  {line['outcome']}{why}"
