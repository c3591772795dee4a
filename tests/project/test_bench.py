"""The runner of the benchmarks, on small ones."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
import json
figures = [
    {"name": "claims", "value": 12345, "unit": "a second"},
    {"name": "claim", "value": 0.012345, "unit": "ms"},
]
print(json.dumps({"title": "Claims", "note": "On SQLite.", "figures": figures}))
"""
PLOTTED = (
    GOOD
    + """
import pathlib, sys
pathlib.Path(sys.argv[sys.argv.index("--plot") + 1]).write_text("<svg/>")
"""
)
TABLE = """\
## Claims

On SQLite.

| figure | value |
| --- | ---: |
| claims | 12,345 a second |
| claim | 0.0123 ms |
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "bench").mkdir()
    for name in ("__init__.py", "__main__.py"):
        shutil.copy(ROOT / "bench" / name, tmp_path / "bench" / name)
    (tmp_path / "bench" / "claims.py").write_text(GOOD)
    (tmp_path / "bench" / "_shared.py").write_text("raise SystemExit('no benchmark')")
    return tmp_path


def test_all_benchmarks_make_the_report(project: Path) -> None:
    (project / "bench" / "again.py").write_text(GOOD)
    done = bench(project)
    assert done.returncode == 0, done.stderr
    report = (project / "docs" / "benchmarks.md").read_text()
    assert report.startswith("# Benchmarks\n\nWritten by `make bench`, on a machine with ")
    assert report.endswith("\n\n" + TABLE + "\n" + TABLE)


def test_the_report_comes_with_plots(project: Path) -> None:
    (project / "bench" / "polling.py").write_text(PLOTTED)
    assert bench(project).returncode == 0
    assert (project / "docs" / "polling.svg").read_text() == "<svg/>"


def test_a_named_benchmark_is_only_printed(project: Path) -> None:
    done = bench(project, "claims")
    assert (done.returncode, done.stdout) == (0, TABLE + "\n")
    assert not (project / "docs" / "benchmarks.md").exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        ("print('fast')", "standard output is not one JSON document"),
        ("print('{}')", "a report has a title and figures"),
    ],
)
def test_a_benchmark_that_fails_leaves_the_report_as_it_was(
    project: Path, script: str, message: str
) -> None:
    (project / "docs" / "benchmarks.md").write_text("before\n")
    (project / "bench" / "broken.py").write_text(script)
    done = bench(project)
    assert done.returncode == 1
    assert f"bench: broken: {message}; docs/benchmarks.md stays as it was" in done.stderr
    assert (project / "docs" / "benchmarks.md").read_text() == "before\n"


def test_a_benchmark_whose_data_is_not_here_is_left_out(project: Path) -> None:
    (project / "bench" / "absent.py").write_text("raise SystemExit(2)")
    done = bench(project)
    assert done.returncode == 0
    assert "bench: absent is left out\n" in done.stderr
    assert (project / "docs" / "benchmarks.md").read_text().endswith(TABLE)


def test_a_name_that_is_no_benchmark(project: Path) -> None:
    done = bench(project, "clams")
    assert (done.returncode, done.stderr) == (2, "bench: no clams among: claims\n")


def bench(project: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *names],
        cwd=project,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=60,
    )
