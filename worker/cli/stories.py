"""`kabar stories`: what was found."""

from typing import Annotated

import typer

from worker.cli.articles import INTERNAL, history_line
from worker.cli.output import (
    MOST,
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


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")] = 20,
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
        int, typer.Argument(metavar="ID", min=1, max=MOST, help="The story's number.")
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
        print_json(record(story) | {"articles": [record(row, *INTERNAL) for row in articles]})
        return
    parts = (story["title"], story["summary"] or "(no summary)", story["url"] or "(no link)")
    typer.echo(clean("\n\n".join(parts)))
    for article in articles:
        typer.echo(clean(f"\narticle {article['id']}  {article['url'] or '(no link)'}"))
        for line in article["history"]:
            typer.echo(f"  {history_line(line)}")
