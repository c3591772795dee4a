"""Run the benchmarks beside this file and write docs/benchmarks.md and plots (`make bench`).

With names (`python -m bench imports`) only those are run, and their tables only printed.
"""

import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
REPORT = HERE.parent / "docs" / "benchmarks.md"
PLOTS = {"polling": HERE.parent / "docs" / "polling.svg"}
LIMIT_SECONDS = 1_800
INTRODUCTION = "# Benchmarks\n\nWritten by `make bench`, on a machine with {machine}.\n"


NOT_HERE = 2  # the exit code of a benchmark whose data stands in no repository


class BenchmarkError(Exception):
    """A benchmark ended without figures; the message says which, and why."""


class NotHereError(Exception):
    """A benchmark lacks here what it needs; it has said what."""


def main(chosen: Sequence[str]) -> int:
    known = names()
    if unknown := [name for name in chosen if name not in known]:
        print(f"bench: no {', '.join(unknown)} among: {', '.join(known)}", file=sys.stderr)
        return 2
    tables = []
    for name in chosen or known:
        print(f"bench: {name}", file=sys.stderr)
        try:
            plot = ("--plot", str(PLOTS[name])) if name in PLOTS and not chosen else ()
            tables.append(table(run(name, *plot)))
        except NotHereError:
            print(f"bench: {name} is left out", file=sys.stderr)
        except BenchmarkError as error:
            print(f"bench: {error}; docs/benchmarks.md stays as it was", file=sys.stderr)
            return 1
    print("\n".join(tables))
    if not chosen:
        REPORT.write_text("\n".join([INTRODUCTION.format(machine=machine()), *tables]))
    return 0


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.py") if not path.name.startswith("_"))


def run(name: str, *options: str) -> dict[str, Any]:
    """The report of one benchmark. Raises `BenchmarkError`, or `NotHereError`."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"bench.{name}", "--json", *options],
            check=False,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parent,
            timeout=LIMIT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{name}: not done after {LIMIT_SECONDS} s") from None
    if done.returncode == NOT_HERE:
        raise NotHereError(name)
    if done.returncode:
        raise BenchmarkError(f"{name}: exit code {done.returncode}")
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise BenchmarkError(f"{name}: standard output is not one JSON document") from None
    if not isinstance(report, dict) or not report.get("title") or not report.get("figures"):
        raise BenchmarkError(f"{name}: a report has a title and figures")
    return report


def table(report: dict[str, Any]) -> str:
    """One benchmark's section of docs/benchmarks.md."""
    note = f"{report['note']}\n\n" if report.get("note") else ""
    rows = "".join(
        f"| {figure['name']} | {shown(figure['value'])} {figure['unit']} |\n"
        for figure in report["figures"]
    )
    return f"## {report['title']}\n\n{note}| figure | value |\n| --- | ---: |\n{rows}"


def shown(value: float) -> str:
    """A count in full, a measurement to three digits."""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine() -> str:
    """The machine in general terms: nothing that names it."""
    memory = round(psutil.virtual_memory().total / 2**30)
    return (
        f"{psutil.cpu_count()} cores ({platform.machine()}), {memory} GiB of memory, "
        f"{platform.system()}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
