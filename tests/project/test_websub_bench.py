"""The benchmark of WebSub, for its form: what is fast enough, its `--check` says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_its_report_is_one_document() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.websub", "--quick", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    found = report["kabar"]
    assert 0 < found["median"] <= found["p95"] <= found["longest"]
    assert report["passed"] == (found["p95"] <= report["targets"]["p95"])
    assert [figure["unit"] for figure in report["figures"]] == ["s"] * 3
