import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from tests import waiting
from tests.servers.child import alive
from tests.servers.valkey import Valkey

PARENT = """
import time
from tests.servers.valkey import Valkey
server = Valkey()
server.start()
print(server.directory, server.child.pid, flush=True)
time.sleep(600)
"""


def test_it_keeps_its_data_through_kill_9(valkey: Valkey) -> None:
    with valkey.client() as client:
        client.set("key", "value")
        first = valkey.child.pid
        valkey.restart()
        assert client.get("key") == b"value"
    assert valkey.child.pid != first
    assert not alive(first)


def test_it_wants_the_password(valkey: Valkey) -> None:
    with valkey.client() as client, pytest.raises(redis.AuthenticationError):
        client.execute_command("AUTH", "wrong")
    assert valkey.password not in " ".join(psutil.Process(valkey.child.pid).cmdline())


def test_frozen_it_does_not_answer_and_thawed_it_does(valkey: Valkey) -> None:
    with valkey.client() as client:
        assert client.ping()
        valkey.freeze()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        assert valkey.child.running
        valkey.thaw()
        assert client.ping()


def test_a_frozen_one_is_stopped(tmp_path: Path) -> None:
    server = Valkey()
    with server:
        server.freeze()
    assert not server.child.running
    assert not server.directory.exists()


def test_it_listens_on_a_port(free_port: int) -> None:
    with Valkey(free_port) as server, server.client() as client:
        assert client.ping()
        assert f":{free_port}/" in server.url


def test_another_server_on_its_port_is_not_taken_for_it(free_port: int) -> None:
    with Valkey(free_port), pytest.raises(AssertionError, match="Valkey ended"), Valkey(free_port):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PDEATHSIG")
def test_kill_9_of_the_test_run_ends_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        directory, pid = parent.stdout.readline().split()
        parent.kill()
    waiting.until(lambda: not alive(int(pid)), "Valkey is gone")
    shutil.rmtree(directory)
