"""`kabar translate`: have done articles translated that were left as they were."""

from datetime import timedelta
from typing import Annotated

import typer

from worker import settings as configuration
from worker.cli.ages import age
from worker.cli.output import Json, open_store, print_json
from worker.store import translations

app = typer.Typer(help="Translations that are missing.", no_args_is_help=True)


@app.callback()
def _nothing() -> None:
    """Only so that `backfill` stays a command of its own."""


@app.command()
def backfill(
    since: Annotated[
        str | None,
        typer.Option(
            help="Articles first seen in the last 7d, 12h or 30m; by default those of "
            "translate.backfill_days."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Have articles translated again that are untranslated, whatever stood in the way.

    What an engine has come to know since is taken up again by itself; this is for the rest, such as
    after an engine was added because another's translations were rejected.
    """
    settings = configuration.load().translate
    newest = age("--since", since) if since is not None else timedelta(days=settings.backfill_days)
    with open_store() as engine:
        taken = translations.backfill(engine, newest)
    if as_json:
        print_json({"articles": taken})
        return
    typer.echo(f"{len(taken)} {'article' if len(taken) == 1 else 'articles'} will be translated")
    if set(settings.engines) <= {"none"}:
        typer.echo("but no engine is set up: see translate.engines in config/kabar.toml")
