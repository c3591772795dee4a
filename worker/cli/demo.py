"""`kabar demo`: the whole service on a sample newsroom."""

import sys
from typing import Annotated

import typer

app = typer.Typer()


@app.command("demo")
def show(
    stories: Annotated[
        int | None, typer.Option(min=1, help="How many stories to publish; default: no end.")
    ] = None,
    exit_after: Annotated[
        bool, typer.Option("--exit", help="End with 0 once each story's alert was verified.")
    ] = False,
    seed: Annotated[int, typer.Option(help="For the generated articles.")] = 1,
) -> None:
    """Run the service on a sample newsroom on loopback, and show each alert as it comes."""
    from worker import demo

    sys.exit(demo.run(stories=stories, exit_after=exit_after, seed=seed))
