"""`kabar config`: the settings in force."""

from collections.abc import Iterator
from typing import Any

import typer
from pydantic import BaseModel

from worker import settings as configuration
from worker.broker import masked
from worker.cli.output import Json, print_json, print_table

app = typer.Typer(help="The settings.", no_args_is_help=True)


@app.command()
def show(as_json: Json = False) -> None:
    """Show each setting's effective value; passwords are masked."""
    settings = configuration.load()
    if as_json:
        print_json(_document(settings))
        return
    source = configuration.config_file()
    typer.echo(f"from {source or 'no file'}, and KABAR_* of the environment\n")
    rows = [{"setting": key, "value": value} for key, value in _lines(_document(settings))]
    print_table(rows, {"setting": None, "value": None}, empty="")


def _document(settings: BaseModel) -> dict[str, Any]:
    document: dict[str, Any] = settings.model_dump(mode="json")
    for section in ("store", "broker"):
        if url := document[section]["url"]:
            document[section]["url"] = masked(url)
    return document


def _lines(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in document.items():
        if isinstance(value, dict) and value:
            yield from _lines(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield prefix + key, ", ".join(map(str, value))
        else:
            yield prefix + key, _word(value)


def _word(value: Any) -> str:
    if value is None or value == {}:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)  # as TOML has it
