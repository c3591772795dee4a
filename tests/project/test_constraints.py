"""scripts/constraints.py --check: that the pins answer pyproject.toml, and what it says if not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files that the script reads, to spoil."""
    (tmp_path / "scripts").mkdir()
    for name in (
        *("pyproject.toml", "constraints.txt", "constraints-dev.txt", "constraints-llm.txt"),
        "scripts/constraints.py",
    ):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_pins_satisfy_pyproject() -> None:
    done = check(ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_range_that_no_pin_satisfies(project: Path) -> None:
    edit(project / "pyproject.toml", '"celery==5.6.3"', '"celery>=99"')
    assert complaints(project) == ["constraints.txt: celery>=99: pinned ==5.6.3"]


def test_a_requirement_without_a_pin(project: Path) -> None:
    edit(
        project / "pyproject.toml",
        '"tzdata",',
        '"tzdata", "leftpad>=1; sys_platform == \'linux\'",',
    )
    complaint = 'constraints.txt: leftpad>=1; sys_platform == "linux": 0 pins for'
    assert complaints(project) == [
        f"{complaint} linux {machine}, Python {python}"
        for machine in ("aarch64", "x86_64")
        for python in ("3.11", "3.12", "3.13")
    ]


def test_a_second_pin_for_one_machine(project: Path) -> None:
    pins = project / "constraints.txt"
    pins.write_text(
        pins.read_text()
        + "kombu==5.6.2 ; python_version >= '3.13' and sys_platform == 'darwin' \\\n"
        + f"    --hash=sha256:{'0' * 64}\n"
    )
    assert complaints(project) == [
        "constraints.txt: kombu[redis]==5.7.0: 2 pins for darwin arm64, Python 3.13"
    ]


def test_a_development_tool_out_of_range(project: Path) -> None:
    pinned = re.search(r"(?m)^ruff==(\S+)", (project / "constraints-dev.txt").read_text())
    assert pinned
    edit(project / "pyproject.toml", '"ruff>=0.14,<1"', '"ruff>=77"')
    assert complaints(project) == [f"constraints-dev.txt: ruff>=77: pinned =={pinned[1]}"]


def test_files_that_disagree(project: Path) -> None:
    pins = project / "constraints-dev.txt"
    pins.write_text(re.sub(r"(?m)^click==\S+", "click==8.1.0", pins.read_text()))
    [complaint] = complaints(project)
    assert complaint.startswith("constraints-dev.txt: click==8.1.0: constraints.txt says ")


def test_a_pin_without_a_hash(project: Path) -> None:
    with (project / "constraints.txt").open("a") as pins:
        pins.write("zzz==1.0\n")
    assert complaints(project) == ["constraints.txt: zzz==1.0: no hash"]


@pytest.mark.parametrize(
    "line", ["--extra-index-url https://example.org/simple", "zzz @ https://example.org/z.whl"]
)
def test_an_address_in_the_file(project: Path, line: str) -> None:
    pins = project / "constraints.txt"
    pins.write_text(line + "\n" + pins.read_text())
    assert complaints(project) == [f"constraints.txt:1: an address or an option: {line}"]


def complaints(project: Path) -> list[str]:
    done = check(project)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr.splitlines()


def check(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, project / "scripts" / "constraints.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
    )


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
