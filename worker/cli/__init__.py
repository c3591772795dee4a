"""The command `kabar`: one module a noun."""

import importlib
import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

import typer
from typer.exceptions import TyperException

from worker.errors import KabarError

_NODES = ("up", "worker", "beat", "web")
_COMMANDS = ("health", "status", "doctor", "demo")
_NOUNS = (
    "feeds", "endpoints", "stories", "articles", "deliveries", "translate", "models", "config",
    "db",
)  # fmt: skip


def main() -> None:
    """Run the command line; what goes wrong is one line on stderr.

    With `--debug` anywhere on it the traceback is shown in place of that line.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    command = arguments[0] if arguments else None
    for stream in (sys.stdout, sys.stderr):  # no title is to end a command on a Latin-1 terminal
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = make_app(command)(arguments, standalone_mode=False)
    except TyperException as error:
        typer.echo(_usage(error), err=True)
        code = error.exit_code
    except Exception as error:
        known = isinstance(error, KabarError)
        if "--debug" in sys.argv or (command in _NODES and not known):
            raise
        line = str(error) if known else f"{error!r}; with --debug it shows where"
        typer.echo(f"kabar: {' '.join(line.split())}", err=True)
        code = error.exit_code if isinstance(error, KabarError) else 1
    sys.exit(code)


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


def _usage(error: TyperException) -> str:
    message = error.format_message().replace("Value error, ", "")  # pydantic's, behind typer
    if message.startswith("Usage:"):  # the help of a noun that was given no verb
        return message
    context = getattr(error, "ctx", None)
    way_out = f"; see {context.command_path} --help" if context else ""
    return f"kabar: {' '.join(message.split()).removesuffix('.')}{way_out}"


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
