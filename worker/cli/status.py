"""`kabar status`: what waits in each stage, and which processes live."""

from dataclasses import asdict

import typer

from worker.cli.output import Json, open_store, print_json, print_table, record, when
from worker.store import processes, status

app = typer.Typer()


@app.command("status")
def show(as_json: Json = False) -> None:
    """What waits in each stage, since when, and which processes were heard of."""
    with open_store() as engine:
        stages = [asdict(stage) for stage in status.stages(engine)]
        heard = [record(row) for row in processes.listing(engine)]
    if as_json:
        print_json({"stages": stages, "processes": heard})
        return
    print_table(
        stages,
        {"stage": None, "waiting": None, "in_work": None, "later": None, "oldest_due_at": when},
        empty="",
    )
    typer.echo("")
    print_table(
        heard,
        {"name": None, "pid": None, "started_at": when, "seen_at": when},
        empty="no process was heard of: start `kabar up`",
    )
