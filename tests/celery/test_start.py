"""What is refused at the start.

The launcher's own refusals (someone else's server, stale socket, path too long) are tested in
`tests/embedded/test_broker.py`.
"""

import resource
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.celery.rig import Rig
from tests.celery.test_acceptance import SURVIVED


def test_a_second_beat_is_refused(either_rig: Rig) -> None:
    (beat,) = either_rig.start("beat")
    refused = either_rig.kabar.run("beat")
    assert refused.returncode == 2
    assert "another `kabar beat` runs" in refused.stderr.splitlines()[-1]
    assert beat.running
    beat.kill()
    either_rig.start("beat")


@pytest.mark.parametrize("command", ["worker", "beat"])
def test_a_wrong_password_is_an_error_and_an_end(rig: Rig, command: str) -> None:
    wrong = rig.broker.url_with("wrong")
    done = rig.kabar.run(command, KABAR_BROKER__URL=wrong)
    assert done.returncode == 2
    assert "set the right password in KABAR_BROKER__URL" in done.stderr.splitlines()[-1]
    assert ":wrong@" not in done.stderr


def test_a_worker_may_open_more_sockets_than_the_shell_that_started_it() -> None:
    code = (
        "import resource; from worker import app;"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1];"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard)); app._allow_sockets();"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE), hard)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    soft, now_hard, hard = map(int, done.stdout.split())
    assert now_hard == hard
    assert soft == (8_192 if hard == resource.RLIM_INFINITY else min(8_192, hard))


def test_the_versions_are_those_that_survived() -> None:
    """An upgrade has to change this test, and so to pass the one that celery 5.7.0 fails."""
    assert (version("celery"), version("kombu")) == ("5.6.3", "5.7.0")
    root = Path(__file__).parents[2]
    wanted = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {"celery==5.6.3", "kombu[redis]==5.7.0"} <= set(wanted)


@pytest.mark.slow
def test_these_versions_did_survive(request: pytest.FixtureRequest) -> None:
    if not any("all_hands_full" in item.name for item in request.session.items):
        pytest.skip("the test that these versions have to pass was not asked for")
    assert request.config.stash.get(SURVIVED, False), "that test did not pass"
