"""The Makefile on a machine that is not as it should be, and what it takes from the environment."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that holds the Makefile and what its rules depend on, and no venv."""
    for name in ("Makefile", "constraints.txt", "constraints-dev.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("target", ["demo", "test", "run", "lint", "bench", "constraints"])
def test_a_python_that_is_too_old(project: Path, target: str) -> None:
    old = program(
        project / "bin" / "python3", "case $1 in --version) echo Python 3.9.6;; *) exit 1;; esac"
    )
    done = make(project, target, PATH=f"{old.parent}:{os.environ['PATH']}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        "kabar: needs Python 3.11 or newer, but python3 says: Python 3.9.6; "
        "name another: make PYTHON=python3.12"
    )
    assert not (project / ".venv").exists()


def test_a_python_that_is_not_there(project: Path) -> None:
    done = make(project, "demo", "PYTHON=python3.99")
    assert done.returncode == 2
    assert done.stderr.startswith("kabar: needs Python 3.11 or newer, but python3.99 says:")
    assert len(done.stderr.splitlines()) == 2  # and make's own line


def test_a_venv_that_could_not_be_finished_is_removed(project: Path) -> None:
    broken = program(
        project / "bin" / "python3",
        "case $1 in -m) mkdir -p .venv/bin; touch .venv/bin/python; exit 1;; *) exit 0;; esac",
    )
    done = make(project, "test", f"PYTHON={broken}")
    assert done.returncode == 2
    assert not (project / ".venv").exists()


def test_what_is_installed_is_not_installed_again(project: Path) -> None:
    venv = project / ".venv"
    program(venv / "bin" / "python", 'echo "$@" >> calls')
    program(venv / "bin" / "kabar", ":")
    for _ in range(2):
        assert make(project, "demo").returncode == 0
    calls = (project / "calls").read_text().splitlines()
    pip = "-m pip --disable-pip-version-check --quiet install "
    assert calls == [
        pip + "--upgrade pip",
        pip + "--require-hashes -r constraints.txt",
        pip + "--no-build-isolation --no-deps -e .",
    ]
    later = (venv / "installed").stat().st_mtime + 10
    os.utime(project / "constraints.txt", (later, later))
    assert make(project, "demo").returncode == 0
    assert (project / "calls").read_text().splitlines() == calls * 2


def test_a_users_python_and_pip_settings_stay_outside(project: Path) -> None:
    program(project / ".venv" / "bin" / "python", "env > environment")
    program(project / ".venv" / "bin" / "kabar", ":")
    done = make(
        project, "demo", PYTHONPATH="/elsewhere", PIP_TARGET="/elsewhere", PIP_PROXY="proxy.example"
    )
    assert done.returncode == 0
    names = re.findall(r"(?m)^(\w+)=", (project / "environment").read_text())
    assert "PYTHONPATH" not in names
    assert "PIP_TARGET" not in names
    assert "PIP_PROXY" in names  # the way to the index stays


def test_help_is_the_default_and_lists_every_target(project: Path) -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"(?m)^\.PHONY: (.*)$", text)
    assert phony
    done = make(project)
    assert done.returncode == 0
    assert sorted(line.split()[1] for line in done.stdout.splitlines()) == sorted(phony[1].split())


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def make(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # This test may itself run under make: its flags and variables are not for the inner one.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARGS", "PYTHON"}
    }
    return subprocess.run(
        ["make", *arguments],
        cwd=project,
        env=inherited | environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
