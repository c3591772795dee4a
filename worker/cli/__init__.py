"""The command `kabar`: one module a noun."""

import importlib
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from worker.errors import KabarError

_NODES = ("up", "worker", "beat", "web")
_COMMANDS = ("health", "status", "doctor", "demo")
_NOUNS = ("feeds", "endpoints", "stories", "articles", "deliveries", "config", "db")


def main() -> None:
    """Run the command line; what goes wrong is one line on stderr."""
    try:
        make_app(sys.argv[1] if len(sys.argv) > 1 else None)()
    except KabarError as error:
        if "--debug" in sys.argv:
            raise
        typer.echo(f"kabar: {error}", err=True)
        sys.exit(error.exit_code)


def make_app(command: str | None = None) -> typer.Typer:
    """The command line; with the name of a command, that one alone.

    So that each imports only what it needs: `kabar up` stays, and has no use for SQLAlchemy.
    """
    app = typer.Typer(
        name="kabar",
        help="A streaming news-ingestion worker: feeds in, stories out by signed webhook.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    one = {command} & {*_NODES, *_COMMANDS, *_NOUNS}
    if not one or command in _NODES:
        app.add_typer(_module("nodes"))
    for name in _COMMANDS:
        if not one or name == command:
            app.add_typer(_module(name))
    for name in _NOUNS:
        if not one or name == command:
            app.add_typer(_module(name), name=name)
    return app


def _module(name: str) -> typer.Typer:
    app: typer.Typer = importlib.import_module(f"worker.cli.{name}").app
    return app


def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and end.",
            is_eager=True,
            callback=lambda wanted: _print_version() if wanted else None,
        ),
    ] = False,
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """What stands before the command."""


def _print_version() -> None:
    typer.echo(version("kabar"))
    raise typer.Exit
