"""`kabar db`: the store's schema, and its move to another database."""

from typing import Annotated

import typer

from worker import settings as configuration
from worker.broker import masked
from worker.cli.output import CommandError, Json, print_json, print_table
from worker.settings import Settings
from worker.store import StoreError, schema
from worker.store.sessions import parse_url

app = typer.Typer(help="The store: its schema, and its move to another.", no_args_is_help=True)


@app.command()
def upgrade() -> None:
    """Bring the store to this code's schema; any number may run at once."""
    revision = schema.upgrade(configuration.load())
    typer.echo(f"upgraded to {revision}" if revision else "nothing to upgrade")


@app.command()
def check() -> None:
    """Say whether the store is at this code's schema; exit code 1 when it is not."""
    schema.check(configuration.load())
    typer.echo("the store is at this code's schema")


@app.command("copy")
def copy_(
    to: Annotated[str, typer.Option(metavar="URL", help="An empty store's SQLAlchemy URL.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also while processes work on the store.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy the store in force into another, empty one, such as SQLite into PostgreSQL."""
    from worker.store.copy import copy

    copied = copy(configuration.load(), _settings_for(to), force=force)
    if as_json:
        print_json(copied)
        return
    rows = [{"table": table, "rows": number} for table, number in copied.items()]
    print_table(rows, {"table": None, "rows": None}, empty="")
    typer.echo(
        f"\nall of it is in {masked(to)}; what is left to do: set store.url (KABAR_STORE__URL) to "
        "that, and start Kabar; the old store is as it was"
    )


def _settings_for(url: str) -> Settings:
    try:
        parse_url(url)
    except StoreError as error:
        raise CommandError(str(error).replace("store.url", "--to")) from None
    settings = configuration.load()
    return settings.model_copy(update={"store": settings.store.model_copy(update={"url": url})})
