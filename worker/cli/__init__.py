"""The command `kabar`: one module a noun."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from worker.cli import db, demo, endpoints, feeds, nodes, status, stories
from worker.settings import ConfigError
from worker.store import StoreError

app = typer.Typer(
    name="kabar",
    help="A streaming news-ingestion worker: feeds in, stories out by signed webhook.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(feeds.app, name="feeds")
app.add_typer(endpoints.app, name="endpoints")
app.add_typer(stories.app, name="stories")
app.add_typer(db.app, name="db")
nodes.add_to(app)
status.add_to(app)
demo.add_to(app)


def main() -> None:
    """Run the command line; what goes wrong is one line on stderr."""
    try:
        app()
    except ConfigError as error:
        _fail(error, 2)
    except StoreError as error:
        _fail(error, 1)


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.")
    ] = False,
) -> None:
    if show_version:
        typer.echo(version("kabar"))
        raise typer.Exit


def _fail(error: Exception, code: int) -> None:
    typer.echo(f"kabar: {error}", err=True)
    sys.exit(code)
