"""scripts/secrets.sh: what docker-compose.yml's servers and ours are to know."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import make_url

from tests import waiting
from tests.servers.child import Child
from tests.servers.valkey import program
from worker import settings

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["postgres-password", "store-url", "redis-users", "broker-url"]  # as they are made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the script, run once."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "secrets.sh", tmp_path / "scripts")
    assert run(tmp_path) == [f"secrets/{name} written" for name in NAMES]
    return tmp_path


def test_others_on_the_machine_are_kept_out_and_containers_are_not(project: Path) -> None:
    folder = project / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        NAMES, 0o644
    )


def test_the_addresses_hold_the_servers_passwords(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv("KABAR_STORE__URL_FILE", "secrets/store-url")
    monkeypatch.setenv("KABAR_BROKER__URL_FILE", "secrets/broker-url")
    loaded = settings.load()
    store, broker = make_url(loaded.store_url), make_url(loaded.broker.url or "")
    assert (store.username, store.host, store.database) == ("kabar", "postgres", "kabar")
    assert store.password == read(project, "postgres-password")
    assert (broker.username, broker.host, broker.port) == ("kabar", "redis", 6379)
    assert f"user kabar on >{broker.password} " in read(project, "redis-users")
    assert len({store.password, broker.password}) == 2
    assert all(len(password or "") == 48 for password in (store.password, broker.password))


def test_what_is_there_stays_and_what_is_missing_is_made_to_fit(project: Path) -> None:
    before = {name: read(project, name) for name in NAMES}
    assert run(project) == [f"secrets/{name} is there already" for name in NAMES]
    for name in ("store-url", "broker-url"):
        (project / "secrets" / name).unlink()
    run(project)
    assert {name: read(project, name) for name in NAMES} == before


def test_passwords_are_new_each_time(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(project / "scripts", other / "scripts")
    run(other)
    assert all(read(project, name) != read(other, name) for name in NAMES)


@pytest.fixture
def server(project: Path) -> Iterator[Path]:
    """The socket of a Valkey with the users that the script wrote."""
    # Not `tmp_path`: a socket's path must stay under 108 bytes.
    socket = Path(f"/tmp/kabar-users-{project.stat().st_ino}")
    options = ("--port", "0", "--unixsocket", socket, "--dir", project)
    child = Child([program(), project / "secrets" / "redis-users", *options], project / "log")
    try:
        waiting.until(socket.exists, f"Valkey listens; its log is {project / 'log'}")
        yield socket
    finally:
        child.kill()
        socket.unlink(missing_ok=True)


def test_valkey_takes_the_users(project: Path, server: Path) -> None:
    url = make_url(read(project, "broker-url"))
    with redis.Redis(unix_socket_path=str(server), socket_timeout=5) as stranger:
        assert stranger.ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            stranger.get("kabar:wake:poll")
    with redis.Redis(
        unix_socket_path=str(server), username=url.username, password=url.password
    ) as ours:
        assert ours.set("kabar:wake:poll", 1, nx=True, ex=3)
        assert ours.publish("kabar", "text") == 0


def run(project: Path) -> list[str]:
    done = subprocess.run(
        ["sh", project / "scripts" / "secrets.sh"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def read(project: Path, name: str) -> str:
    return (project / "secrets" / name).read_text().strip()
