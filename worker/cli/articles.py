"""`kabar articles`: what came of each entry."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from worker.cli.lookup import found
from worker.cli.output import (
    MOST,
    Json,
    clean,
    open_store,
    print_fields,
    print_json,
    print_table,
    record,
    when,
)
from worker.store import articles

app = typer.Typer(help="The articles, and what happened to each.", no_args_is_help=True)

INTERNAL = ("lease_token", "lease_until", "url_key", "canonical_key", "content_hash", "feed_entry")
Stage = Literal["fetch", "process", "translate", "publish", "done", "failed"]
_Article = Annotated[str, typer.Argument(metavar="ID|URL", help="The article's number or URL.")]


@app.command("list")
def list_(
    stage: Annotated[Stage | None, typer.Option(help="Only those in this stage.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List the newest articles."""
    with open_store() as engine:
        rows = articles.listing(engine, limit, stage)
    if as_json:
        print_json([record(row) for row in rows])
        return
    print_table(
        [row | {"title": row["title"] or row["feed_title"]} for row in rows],
        {"id": None, "first_seen_at": when, "stage": None, "language": None, "story_id": None,
         "title": None},
        empty="no articles: `kabar feeds list` shows what is followed, `kabar status` what waits",
    )  # fmt: skip


@app.command()
def show(article: _Article, as_json: Json = False) -> None:
    """Show an article: its text, and what is known of it."""
    row = _find(article)
    if as_json:
        print_json(record(row, *INTERNAL))
        return
    print_fields(
        {
            "article": f"{row['id']}  {row['url'] or '(no link)'}",
            "title": row["title"] or row["feed_entry"].get("title"),
            "publisher": row["publisher"],
            "authors": ", ".join(row["authors"] or ()),
            "published": when(row["published_at"]),
            "language": row["language"],
            "story": row["story_id"],
            "summary": row["summary"],
        }
    )
    typer.echo(f"\n{clean(row['text'] or '(no text)')}")


@app.command()
def explain(article: _Article, as_json: Json = False) -> None:
    """Say for each stage when the article was in it, what came of it and why."""
    row = _find(article)
    if as_json:
        names = ("id", "url", "stage", "due_at", "attempts", "reason", "degradations", "history")
        print_json({name: row[name] for name in names})
        return
    typer.echo(clean(f"article {row['id']}  {row['url'] or '(no link)'}"))
    for line in row["history"]:
        typer.echo(f"  {history_line(line)}")
    typer.echo(f"  {_now(row)}")


def history_line(line: Mapping[str, Any]) -> str:
    """One step of an article's way, for people."""
    tries = f" at try {line['attempts']}" if line["attempts"] > 1 else ""
    detail = f" ({line['detail']})" if line.get("detail") else ""
    why = f": {line['reason']}{detail}" if line.get("reason") else ""
    at = when(datetime.fromisoformat(line["at"]))
    return clean(f"{at}  {line['stage']:<9}  {line['outcome']}{tries}{why}")


def _now(row: Mapping[str, Any]) -> str:
    match row["stage"]:
        case "done":
            return f"done: it is in story {row['story_id']}"
        case "failed":
            return f"failed for good: {row['reason']}"
        case stage if row["lease_until"] and row["lease_until"] >= datetime.now(UTC):
            return f"now in work in {stage}, try {row['attempts']}"
        case stage if row["lease_until"]:
            lost = when(row["lease_until"])
            return f"waits for {stage}: try {row['attempts']} was lost with its process at {lost}"
        case stage:
            return f"waits for {stage}, due {when(row['due_at'])}"


def _find(article: str) -> dict[str, Any]:
    with open_store() as engine:
        row = articles.find(engine, article)
        return found(
            row, "article", article, lambda: articles.newest_urls(engine), "kabar articles list"
        )
