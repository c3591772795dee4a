import pytest
from sqlalchemy import Engine, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from tests.conftest import MakeSettings
from tests.parallel import in_processes
from worker.settings import Settings
from worker.store import StoreError, open_engine
from worker.store.models import Host
from worker.store.sessions import reading, writing

PROCESSES = 8
ROUNDS = 20


@pytest.fixture
def sqlite_settings(make_settings: MakeSettings, migrated_sqlite_url: str) -> Settings:
    return make_settings(store={"url": migrated_sqlite_url})


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("auto_vacuum", 2),  # INCREMENTAL
        ("journal_mode", "wal"),
        ("synchronous", 1),  # NORMAL
        ("busy_timeout", 10_000),
        ("foreign_keys", 1),
    ],
)
def test_sqlite_is_set_up(sqlite_settings: Settings, pragma: str, value: object) -> None:
    assert show(sqlite_settings, f"PRAGMA {pragma}") == value


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("statement_timeout", "1min"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "5s"),
    ],
)
def test_postgres_sessions_have_timeouts(
    make_settings: MakeSettings, postgres_url: str, setting: str, value: str
) -> None:
    settings = make_settings(store={"url": postgres_url})
    assert show(settings, f"SHOW {setting}") == value


def test_sqlite_writers_that_read_first_take_turns(sqlite_settings: Settings) -> None:
    engine = open_engine(sqlite_settings)
    with writing(engine) as connection:
        connection.execute(insert(Host).values(host="example.org", robots_status=0))
    in_processes(PROCESSES, count_up, sqlite_settings)
    assert count(engine) == PROCESSES * ROUNDS


def test_a_reader_waits_for_no_writer(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(Host).values(host="example.org", robots_status=1))
        assert count(engine) is None
    assert count(engine) == 1


def test_what_failed_is_undone(engine: Engine) -> None:
    again = [{"host": "example.org", "robots_status": 1}] * 2
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(insert(Host), again)
    assert count(engine) is None


def test_postgres_ends_a_transaction_that_does_nothing(
    make_settings: MakeSettings, postgres_url: str
) -> None:
    """A stopped process cannot hold a lock for good; here the 5 s are cut to 50 ms."""
    engine = open_engine(make_settings(store={"url": postgres_url}))
    with writing(engine) as other, engine.connect() as idle:
        idle.execute(text("SET idle_in_transaction_session_timeout = '50ms'"))
        idle.commit()
        idle.execute(text("SELECT pg_advisory_xact_lock(7)"))
        other.execute(text("SELECT pg_advisory_xact_lock(7)"))  # waits until `idle` was ended
        idle.invalidate()
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "store.url is no SQLAlchemy URL"),
        ("mysql://root@localhost/kabar", "mysql is no store"),
        ("sqlite://", "sqlite is no store"),
        ("sqlite:////nowhere/at/all/kabar.db", "/nowhere/at/all: no such directory"),
    ],
)
def test_a_url_of_no_use_is_an_error(make_settings: MakeSettings, url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        open_engine(make_settings(store={"url": url}))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_any_postgres_url_is_for_psycopg_3(make_settings: MakeSettings, scheme: str) -> None:
    engine = open_engine(make_settings(store={"url": f"{scheme}://kabar@localhost/kabar"}))
    assert engine.dialect.driver == "psycopg"


def count_up(settings: Settings) -> None:
    """Read, then write what was read plus one; runs in a process of its own."""
    engine = open_engine(settings)
    for _ in range(ROUNDS):
        with writing(engine) as connection:
            read = connection.execute(select(Host.robots_status)).scalar_one()
            connection.execute(update(Host).values(robots_status=(read or 0) + 1))


def count(engine: Engine) -> int | None:
    with reading(engine) as connection:
        found: int | None = connection.execute(select(Host.robots_status)).scalar()
        return found


def show(settings: Settings, statement: str) -> object:
    with reading(open_engine(settings, pooled=False)) as connection:
        value: object = connection.execute(text(statement)).scalar_one()
        return value
