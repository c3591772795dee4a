"""`kabar articles`: what came of each entry."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer
from sqlalchemy import Engine

from worker import settings as configuration
from worker.cli import cleaning
from worker.cli.ages import age
from worker.cli.lookup import found
from worker.cli.output import (
    MOST,
    CommandError,
    Json,
    clean,
    open_store,
    print_fields,
    print_json,
    print_table,
    record,
    when,
)
from worker.reasons import Reason
from worker.store import articles

app = typer.Typer(help="The articles, and what happened to each.", no_args_is_help=True)

INTERNAL = ("lease_token", "lease_until", "url_key", "canonical_key", "content_hash", "feed_entry")
Stage = Literal["fetch", "process", "translate", "publish", "done", "failed"]
_EXPLAINED = (
    "id", "url", "stage", "due_at", "attempts", "reason", "translation_status",
    "translation_reason", "translate_by", "degradations", "history",
)  # fmt: skip
_LONG = frozenset({"text", "paragraphs"})
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
            "editor": row["editor"],
            "credited": ", ".join(row["credited_sources"] or ()),
            "dateline": row["dateline"],
            "published": when(row["published_at"]),
            "modified": when(row["modified_at"]),
            "section": row["section"],
            "tags": ", ".join(row["tags"] or ()),
            "language": row["language"],
            "story": row["story_id"],
            "lead": row["lead"],
            "summary": row["summary"],
        }
    )
    typer.echo(f"\n{clean(row['text'] or '(no text)')}")


@app.command()
def explain(article: _Article, as_json: Json = False) -> None:
    """Say for each stage when the article was in it, what came of it and why."""
    row = _find(article)
    if as_json:
        print_json({name: row[name] for name in _EXPLAINED})
        return
    typer.echo(clean(f"article {row['id']}  {row['url'] or '(no link)'}"))
    for line in row["history"]:
        typer.echo(f"  {history_line(line)}")
    typer.echo(f"  {_now(row)}")


@app.command("clean")
def clean_(
    source: Annotated[str, typer.Argument(metavar="URL|FILE", help="A page; - reads it.")],
    url: Annotated[
        str | None, typer.Option(help="Where the file's page stands: links are relative to that.")
    ] = None,
    as_json: Json = False,
    why: Annotated[
        bool, typer.Option("--explain", help="Show each block kept or dropped, and by which rule.")
    ] = False,
) -> None:
    """Fetch an article with all its parts, clean it and show what is left; nothing is stored."""
    pages = cleaning.pages_of(source, url, configuration.load())
    if why:
        _tell(cleaning.explained(pages), as_json=as_json)
        return
    article = cleaning.clean(pages)
    document = cleaning.document(article)
    if as_json:
        print_json(document)
        return
    print_fields({name: _line(document[name]) for name in document if name not in _LONG})
    typer.echo(f"\n{clean(article.text)}")


@app.command()
def reprocess(
    some: Annotated[
        list[str] | None, typer.Argument(metavar="[ID|URL]...", help="Only these articles.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Those fetched in the last 2d, 12h or 30m.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Clean done articles again from their stored pages, without fetching or alerting."""
    if not some and since is None:
        raise CommandError("which articles? name some, or give --since 2d")
    newest = age("--since", since) if since is not None else None
    with open_store() as engine:
        ids = [_found(engine, one)["id"] for one in some or ()]
        again = articles.reprocess(engine, since=newest, ids=ids if some else None)
    if as_json:
        print_json({"articles": again, "skipped": sorted({*ids} - {*again})})
        return
    typer.echo(f"{len(again)} {'article' if len(again) == 1 else 'articles'} will be cleaned again")
    for left in sorted({*ids} - {*again}):
        typer.echo(f"article {left} is left as it is: not done yet, or none of its pages is kept")


def _tell(blocks: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(blocks)
        return
    width = max((len(block["rule"]) for block in blocks), default=0)
    for block in blocks:
        mark = "keep" if block["kept"] else "drop"
        typer.echo(clean(f"{mark}  {block['rule']:<{width}}  {block['text']}").replace("\n", " "))


def _line(value: Any) -> Any:
    if isinstance(value, datetime):
        return when(value)
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return "  ".join(str(one) for one in value.values() if one)
    return value


def history_line(line: Mapping[str, Any]) -> str:
    """One step of an article's way, for people."""
    tries = f" at try {line['attempts']}" if line["attempts"] > 1 else ""
    detail = f" ({line['detail']})" if line.get("detail") else ""
    why = f": {line['reason']}{detail}" if line.get("reason") else detail
    at = when(datetime.fromisoformat(line["at"]))
    return clean(f"{at}  {line['stage']:<9}  {line['outcome']}{tries}{why}")


def _now(row: Mapping[str, Any]) -> str:
    match row["stage"]:
        case "done" if row["translation_reason"]:
            why = Reason[row["translation_reason"].upper()].text
            return f"done: it is in story {row['story_id']}, untranslated: {why}"
        case "done":
            return f"done: it is in story {row['story_id']}"
        case "failed":
            return f"failed for good: {row['reason']}"
        case stage if row["lease_until"] and row["lease_until"] >= datetime.now(UTC):
            return f"now in work in {stage}, try {row['attempts']}"
        case stage if row["lease_until"]:
            lost = when(row["lease_until"])
            return f"waits for {stage}: try {row['attempts']} was lost with its process at {lost}"
        case "translate" if row["translate_by"]:
            anyway = when(row["translate_by"])
            return f"waits for translate, due {when(row['due_at'])}; published by {anyway} anyway"
        case stage:
            return f"waits for {stage}, due {when(row['due_at'])}"


def _find(article: str) -> dict[str, Any]:
    with open_store() as engine:
        return _found(engine, article)


def _found(engine: Engine, article: str) -> dict[str, Any]:
    row = articles.find(engine, article)
    return found(
        row, "article", article, lambda: articles.newest_urls(engine), "kabar articles list"
    )
