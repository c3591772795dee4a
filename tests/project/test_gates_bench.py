import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_reports_one_document_and_passes() -> None:
    command = [sys.executable, "-m", "bench.gates", "--quick", "--check", "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    found = json.loads(ran.stdout)
    assert (ran.returncode, found["passed"]) == (0, True), ran.stderr
    assert found["kabar"]["caught"] >= found["targets"]["caught"]
    assert set(found["kabar"]["by_fault"]) == set(found["kabar"]["rejected"])
