import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import waiting
from tests.servers.child import Child, alive

SLEEP = "import time; time.sleep(600)"
PARENT = """
import sys, time
from pathlib import Path
from tests.servers.child import Child
child = Child([sys.executable, "-c", {sleep!r}], Path(sys.argv[1]) / "child.log")
print(child.pid, flush=True)
time.sleep(600)
"""


def test_output_and_errors_go_to_the_log(tmp_path: Path) -> None:
    program = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    child = Child([sys.executable, "-c", program], tmp_path / "log")
    assert child.wait(30) == 3
    assert child.written() == "out\nerr\n"


def test_output_goes_to_a_file_of_its_own(tmp_path: Path) -> None:
    child = Child([sys.executable, "-c", "print('out')"], tmp_path / "log", stdout=tmp_path / "out")
    assert child.wait(30) == 0
    assert (child.written(), (tmp_path / "out").read_text()) == ("", "out\n")


def test_the_exit_code_names_the_signal(tmp_path: Path) -> None:
    child = Child([sys.executable, "-c", SLEEP], tmp_path / "log")
    assert child.running
    child.send(signal.SIGTERM)
    assert child.wait(30) == -signal.SIGTERM
    assert not child.running


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PDEATHSIG")
def test_kill_9_of_the_parent_ends_the_child(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(sleep=SLEEP), tmp_path],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    waiting.until(lambda: not alive(pid), "the child is gone")
