"""`kabar health`: whether a process lives, for container checks."""

from typing import Annotated

import typer

from worker import pulse
from worker import settings as configuration
from worker.errors import KabarError

app = typer.Typer()


@app.command()
def health(
    role: Annotated[str, typer.Argument(help="beat, web, or a worker's role.")],
) -> None:
    """Exit with 0 when the process of that role on this host was heard of lately."""
    if not pulse.is_felt(configuration.load().data_dir, role):
        _ask_store(role)
    typer.echo("healthy")


def _ask_store(role: str) -> None:
    from worker.cli.output import open_store  # three times what a check costs without them
    from worker.store import processes

    with open_store() as engine:
        silence = processes.silence(engine, role)
    if not processes.is_healthy(silence):
        heard = f"{silence.total_seconds():.0f} s ago" if silence else "never"
        raise KabarError(f"{role} on this host was last heard of: {heard}")
