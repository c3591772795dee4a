"""`kabar models`: the models of the translation engine `firefox`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from worker import settings as configuration
from worker.cli.output import CommandError, Json, clean, print_json, print_table
from worker.language.translate import downloads, records
from worker.language.translate.models import Models
from worker.language.translate.records import Model, ModelError, Pair
from worker.settings import Settings

app = typer.Typer(
    help="The models of the translation engine `firefox`, fetched from Mozilla or a mirror "
    "(translate.firefox.records_url and attachments_url).",
    no_args_is_help=True,
)

_Source = Annotated[str, typer.Argument(metavar="SOURCE", help="A language (BCP 47), such as id.")]
_Target = Annotated[str, typer.Argument(metavar="TARGET", help="A language (BCP 47), such as en.")]


@app.command("list")
def list_(
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that could be fetched; asks for the list.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the models that are there."""
    settings = configuration.load()
    models = _models(settings)
    if everything:
        downloads.refresh(models, settings.translate.firefox, settings.http, datetime.now(UTC))
    installed = models.installed()
    found = {**(models.listed() if everything else {}), **installed}
    rows = [_row(models, model, installed) for _, model in sorted(found.items())]
    if as_json:
        print_json(rows)
        return
    print_table(
        rows,
        {"model": None, "version": None, "installed": _yes, "megabytes": _number},
        empty="no models are there: `kabar models fetch id en` fetches one",
    )


@app.command()
def fetch(
    source: _Source,
    target: _Target,
    origin: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR|TAR",
            exists=True,
            help="Copy it from a directory of models, or a tar file of one.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch the newest model of a language pair, by way of English where there is no direct one.

    What was cut off is gone on with. For a machine without a network fetch it on another, and take
    the directory along: `tar -C "$(kabar models path)" -cf models.tar id-en` there, and `kabar
    models fetch id en --from models.tar` here. Each file is held to its checksum.
    """
    settings = configuration.load()
    models = _models(settings)
    if origin:
        found = [models.add((source, target), origin)]
    else:
        found = _fetched(models, settings, source, target, quiet=as_json)
    if as_json:
        print_json([_row(models, model, models.installed()) for model in found])
        return
    for model in found:
        typer.echo(f"{model.label} is in {models.directory_of(model.pair)}")


@app.command()
def verify(as_json: Json = False) -> None:
    """Hold each file to its checksum; exit code 1 when one does not fit.

    A damaged model is fetched again when it is needed, or by `kabar models fetch`.
    """
    models = _models(configuration.load())
    rows = [
        {"model": model.name, "file": file.name, "whole": models.has(model, file)}
        for model in models.installed().values()
        for file in model.files
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, {"model": None, "file": None, "whole": _yes}, empty="no models are there")
    if not all(row["whole"] for row in rows):
        raise typer.Exit(1)


@app.command()
def path(
    source: Annotated[str | None, typer.Argument(metavar="SOURCE")] = None,
    target: Annotated[str | None, typer.Argument(metavar="TARGET")] = None,
    as_json: Json = False,
) -> None:
    """Print the directory of all models, or those of a language pair's."""
    models = _models(configuration.load())
    if source and not target:
        raise CommandError("a language pair is two languages, such as id en")
    paths = (
        [models.directory_of(pair) for pair in _installed_legs(models, source, target)]
        if source and target
        else [models.directory]
    )
    if as_json:
        print_json([str(one) for one in paths])
        return
    for one in paths:
        typer.echo(str(one))


def _models(settings: Settings) -> Models:
    return Models(settings.models_dir)


def _fetched(
    models: Models, settings: Settings, source: str, target: str, *, quiet: bool
) -> list[Model]:
    def say(line: str) -> None:
        if not quiet:
            typer.echo(clean(line), err=True)

    now = datetime.now(UTC)
    firefox = settings.translate.firefox
    downloads.refresh(models, firefox, settings.http, now)
    downloads.fetch(models, firefox, settings.http, source, target, now, say)
    installed = models.installed()
    return [installed[pair] for pair in _installed_legs(models, source, target)]


def _installed_legs(models: Models, source: str, target: str) -> tuple[Pair, ...]:
    legs = records.route(models.installed(), source, target)
    if not legs:
        raise ModelError(
            f"there is no model from {source} to {target}: "
            f"`kabar models fetch {source} {target}` fetches it"
        )
    return legs


def _row(models: Models, model: Model, installed: dict[Pair, Model]) -> dict[str, Any]:
    is_there = model.pair in installed
    return {
        "model": model.name,
        "source": model.source,
        "target": model.target,
        "version": model.version,
        "installed": is_there,
        "megabytes": sum(_sizes(models, model, is_there)) / 1e6,
        "path": str(models.directory_of(model.pair)) if is_there else None,
    }


def _sizes(models: Models, model: Model, is_there: bool) -> Iterator[int]:
    """Of its files: on the disk, or to be fetched as far as the list says."""
    for file in model.files:
        yield models.path(model, file).stat().st_size if is_there else file.packed_size or 0


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _number(value: float) -> str:
    return f"{value:.1f}"
