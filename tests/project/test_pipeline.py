"""The benchmark of the whole way, for its form: what is fast enough, its `--check` says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from worker.settings import STAGES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_its_report_is_one_document_with_all_contenders() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.pipeline", "--quick", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    for contender in ("kabar", "trafilatura", "peer"):
        assert report[contender]["rate"] > 0
        assert report[contender]["cpu"] > 0
    stages = report["kabar"]["stages"]
    assert all(stages[stage] > 0 for stage in STAGES)
    assert report["kabar"]["cpu"] == pytest.approx(sum(stages.values()), rel=0.05)
    assert report["passed"] == (report["kabar"]["share"] >= report["targets"]["share"])
