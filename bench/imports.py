"""What it costs a fresh process to import each room: most of its start, and of its memory."""

import json
import statistics
import subprocess
import sys

ROOMS = (
    *("settings", "http", "feeds", "articles", "language", "stories", "webhooks"),
    *("store", "tasks", "app", "web", "embedded", "demo", "cli"),
)
RUNS = 5
PROBE = """
import importlib, resource, sys, time
start = time.perf_counter()
importlib.import_module(sys.argv[1])
elapsed = time.perf_counter() - start
print(elapsed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes but on macOS


def main() -> int:
    figures = [figure for room in ROOMS for figure in measure(f"worker.{room}")]
    if "--json" in sys.argv[1:]:
        print(json.dumps(report(figures)))
    else:
        for figure in figures:
            print(f"{figure['name']:40} {figure['value']:>8.1f} {figure['unit']}")
    return 0


def measure(module: str) -> list[dict[str, object]]:
    """Time and memory of importing `module`: the median of fresh processes, after one warm-up."""
    probes = [probe(module) for _ in range(RUNS + 1)][1:]
    milliseconds = statistics.median(elapsed for elapsed, _ in probes) * 1_000
    megabytes = statistics.median(peak for _, peak in probes) / 1_000_000
    return [
        {"name": f"`{module}`, time", "value": milliseconds, "unit": "ms"},
        {"name": f"`{module}`, resident memory", "value": megabytes, "unit": "MB"},
    ]


def probe(module: str) -> tuple[float, int]:
    """Seconds to import `module` in a new interpreter, and that process's peak bytes."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, module],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    elapsed, peak = done.stdout.split()
    return float(elapsed), int(peak) * MAXRSS_BYTES


def report(figures: list[dict[str, object]]) -> dict[str, object]:
    return {
        "title": "Importing the rooms",
        "note": f"Each in a fresh process, with all that it imports in turn; the median of {RUNS}. "
        "Memory is the whole process's.",
        "figures": figures,
    }


if __name__ == "__main__":
    sys.exit(main())
