"""The whole service, run as a user runs it: `kabar demo` as a process of its own."""

import shutil
import signal
import socket
from pathlib import Path

import pytest

from tests.demo.running import StartDemo
from tests.waiting import until
from worker.demo.newsroom import SITES

pytestmark = pytest.mark.slow


def test_it_ends_well_after_so_many_alerts(start: StartDemo) -> None:
    demo = start("-m", "worker", "demo", "--stories", "4", "--exit")
    assert demo.process.wait(110) == 0, demo.err
    assert demo.alerts() == 4
    assert demo.row("stories") == "4"
    assert demo.row("articles") == "5"
    assert demo.row("updates") == "1"
    assert demo.row("alerts, each verified") == "4"
    assert demo.row("duplicates suppressed") == "1"
    assert demo.row("signatures refused") == "0"
    assert demo.row("of them translated") == "0"
    assert "stories stay in their own language: KABAR_DEMO_LLM=0" in demo.out
    assert demo.row("publication to alert, 95 %").endswith(" s")
    assert demo.row("processes up to first alert").endswith(" s")
    assert demo.err == ""
    assert demo.living() == []


def test_a_service_that_is_killed_comes_back_and_repeats_no_story(start: StartDemo) -> None:
    demo = start("-m", "worker", "demo", "--stories", "5", "--exit")
    demo.until_alerts(1)
    first = until(demo.service, "kabar up")
    first.kill()
    first.wait(10)
    until(demo.service, "another kabar up", 20)
    assert demo.process.wait(110) == 0, demo.err
    assert demo.row("alerts, each verified") == "5"


def test_nothing_outlives_a_demo_that_is_killed(start: StartDemo) -> None:
    demo = start("-m", "worker", "demo")
    demo.until_alerts(1)
    assert len(demo.living()) > 5
    directory = Path(until(demo.service, "kabar up").environ()["KABAR_CONFIG"]).parent
    demo.process.kill()
    demo.process.wait()
    until(lambda: not demo.living(), "nothing of the demo is left", 10)
    shutil.rmtree(directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_goes_on_until_it_is_asked_to_end(start: StartDemo, number: signal.Signals) -> None:
    demo = start("-m", "worker", "demo")
    demo.until_alerts(2)
    demo.process.send_signal(number)
    assert demo.process.wait(60) == 0, demo.err
    assert int(demo.row("alerts, each verified")) >= 2
    assert demo.living() == []


def test_what_is_not_done_in_time_is_a_failure_with_its_reason(start: StartDemo) -> None:
    program = (
        "import sys; from worker.demo import run; "
        "sys.exit(run(stories=3, exit_after=True, deadline_seconds=2))"
    )
    demo = start("-c", program)
    assert demo.process.wait(60) == 1
    assert demo.row("alerts, each verified") == "0"
    assert "kabar: demo: not done within 2 s: 0 of 3 alerts have come" in demo.err
    assert demo.living() == []


def test_a_port_in_use_is_told_in_one_line(start: StartDemo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        base = taken.getsockname()[1] - len(SITES)  # the receiver's port comes after the sites'
        demo = start(
            "-c", f"import sys; from worker.demo import run; sys.exit(run(port_base={base}))"
        )
        assert demo.process.wait(60) == 1
    assert demo.err.startswith("kabar: demo: cannot listen on loopback: ")
    assert demo.err.count("\n") == 1


def test_it_can_be_ended_while_a_model_is_being_fetched(start: StartDemo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        demo = start("-m", "worker", "demo", KABAR_TRANSLATE__FIREFOX__RECORDS_URL=url)
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            demo.process.send_signal(signal.SIGINT)
            assert demo.process.wait(60) == 0, demo.err
    assert "fetching Firefox's model" in demo.out
    assert demo.living() == []


def test_a_reader_that_goes_away_ends_it(start: StartDemo) -> None:
    program = """
import subprocess, sys
demo = subprocess.Popen([sys.executable, "-m", "worker", "demo"], stdout=subprocess.PIPE)
demo.stdout.readline()
demo.stdout.close()
sys.exit(demo.wait())
"""
    demo = start("-c", program)
    demo.process.wait(60)
    assert demo.err == ""
    assert demo.living() == []
