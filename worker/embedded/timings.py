"""What the start took, step by step, and what the processes hold in memory."""

import io
import sys
from collections.abc import Mapping, Sequence

import psutil
from rich.console import Console
from rich.table import Table

_MEGABYTE = 1_000_000


def tables(steps: Mapping[str, float], pids: Mapping[str, int], *, own: Sequence[int]) -> str:
    """The tables of `kabar up --timings` as text.

    `steps` are seconds since the command, `pids` the children's main processes by name, `own` this
    process and its helpers.
    """
    console = Console(file=(text := io.StringIO()), width=70, no_color=True)
    console.print(_steps_table(steps), _memory_table(pids, own))
    return text.getvalue()


def held(pid: int) -> int:
    """Bytes of memory that process `pid` holds, 0 when there is none.

    PSS on Linux: a page shared by n processes counts 1/n in each. USS elsewhere.
    """
    try:
        info = psutil.Process(pid).memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
    return int(getattr(info, "pss", info.uss))


def tree(pid: int) -> list[int]:
    """Process `pid` and all its descendants; empty when there is none."""
    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _steps_table(steps: Mapping[str, float]) -> Table:
    made = Table("step", title="Start", title_justify="left")
    made.add_column("seconds since the command", justify="right")
    for step, seconds in steps.items():
        made.add_row(step, f"{seconds:.2f}")
    return made


def _memory_table(pids: Mapping[str, int], own: Sequence[int]) -> Table:
    processes = {"kabar": list(own), **{name: tree(pid) for name, pid in pids.items()}}
    sizes = {name: sum(map(held, members)) for name, members in processes.items()}
    unit = "MB (PSS)" if sys.platform == "linux" else "MB (USS)"
    made = Table("process", title="Memory", title_justify="left", show_footer=True)
    made.columns[0].footer = "in all"
    made.add_column("processes", justify="right", footer=str(sum(map(len, processes.values()))))
    made.add_column(unit, justify="right", footer=f"{sum(sizes.values()) / _MEGABYTE:.0f}")
    for name, members in processes.items():
        made.add_row(name, str(len(members)), f"{sizes[name] / _MEGABYTE:.0f}")
    return made
