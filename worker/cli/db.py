"""`kabar db`: the store's schema."""

import typer

from worker import settings as configuration
from worker.store import schema

app = typer.Typer(help="The store's schema.", no_args_is_help=True)


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
