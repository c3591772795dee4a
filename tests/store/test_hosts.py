"""What is known of hosts, on both databases."""

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, insert, update

from worker.http.robots import RobotsFile
from worker.reasons import Reason
from worker.store import hosts, models
from worker.store.sessions import writing

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
FILE = RobotsFile(b"User-agent: *\n\xff\x00", 200, NOW)


def cool_down(engine: Engine, host: str, until: datetime) -> None:
    with writing(engine) as connection:
        hosts.cool_down(connection, host, until)


def test_of_a_strange_host_nothing_is_known(engine: Engine) -> None:
    hosts.save_robots(engine, "desa.example", FILE)
    assert hosts.known(engine, {"desa.example:81", "kota.example"}) == {}
    assert hosts.known(engine, set()) == {}


def test_robots_are_kept_until_there_are_new_ones(engine: Engine) -> None:
    hosts.save_robots(engine, "desa.example", FILE)
    assert hosts.known(engine, ["desa.example"]) == {"desa.example": hosts.HostRow(FILE, None)}

    none = RobotsFile(b"", 404, NOW + HOUR)
    hosts.save_robots(engine, "desa.example", none)
    assert hosts.known(engine, ["desa.example"])["desa.example"].robots == none

    unreachable = RobotsFile(None, None, NOW + HOUR, Reason.TIMEOUT)
    hosts.save_robots(engine, "desa.example", unreachable)
    kept = hosts.known(engine, ["desa.example"])["desa.example"].robots
    assert kept == RobotsFile(None, None, NOW + HOUR)


def test_a_host_is_left_alone_ever_later_never_sooner(engine: Engine) -> None:
    for until, kept in (
        (NOW, NOW),
        (NOW + HOUR, NOW + HOUR),
        (NOW, NOW + HOUR),
        (NOW + 2 * HOUR, NOW + 2 * HOUR),
    ):
        cool_down(engine, "desa.example", until)
        assert hosts.known(engine, ["desa.example"]) == {"desa.example": hosts.HostRow(None, kept)}


def test_robots_and_rest_do_not_touch_each_other(engine: Engine) -> None:
    hosts.save_robots(engine, "one.example", FILE)
    cool_down(engine, "one.example", NOW + HOUR)
    cool_down(engine, "two.example", NOW + HOUR)
    hosts.save_robots(engine, "two.example", FILE)
    both = hosts.HostRow(FILE, NOW + HOUR)
    assert hosts.known(engine, ["one.example", "two.example"]) == {
        "one.example": both,
        "two.example": both,
    }


def test_what_else_is_known_of_a_host_stays(engine: Engine) -> None:
    with writing(engine) as connection:
        row = {"host": "desa.example", "time_zone": "Asia/Jakarta"}
        connection.execute(insert(models.Host).values(**row))
    hosts.save_robots(engine, "desa.example", FILE)
    cool_down(engine, "desa.example", NOW)
    with engine.connect() as connection:
        kept = connection.execute(models.Host.__table__.select()).mappings().one()
    assert (kept["time_zone"], kept["robots"], kept["cool_down_until"]) == (
        "Asia/Jakarta",
        FILE.body,
        NOW,
    )


def test_rest_counts_only_with_its_transaction(engine: Engine) -> None:
    with engine.connect() as connection:
        hosts.cool_down(connection, "desa.example", NOW)
        connection.rollback()
    assert hosts.known(engine, ["desa.example"]) == {}


def test_many_hosts_are_looked_up(engine: Engine) -> None:
    names = [f"{number}.example" for number in range(1_201)]
    with writing(engine) as connection:
        connection.execute(insert(models.Host), [{"host": name} for name in names])
    assert set(hosts.known(engine, names)) == set(names)


def test_several_processes_at_once(engine: Engine) -> None:
    def work(number: int) -> None:
        for turn in range(10):
            cool_down(engine, "desa.example", NOW + (number * 10 + turn) * HOUR)
            hosts.save_robots(engine, "desa.example", FILE)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hosts.known(engine, ["desa.example"]) == {
        "desa.example": hosts.HostRow(FILE, NOW + 39 * HOUR)
    }


def test_which_feeds_have_robots_turned_off(engine: Engine) -> None:
    options = [None, {}, {"robots": True}, {"robots": False}, {"robots": False, "cookie": "a"}]
    with writing(engine) as connection:
        for number, one in enumerate(options, start=1):
            row = {"id": number, "url": f"https://{number}.example/feed", "options": one}
            connection.execute(
                insert(models.Feed).values(due_at=NOW, created_at=NOW, state="active", **row)
            )
    assert hosts.without_robots(engine, range(1, 6)) == {4, 5}
    assert hosts.without_robots(engine, {1, 5, 99}) == {5}
    assert hosts.without_robots(engine, set()) == set()
    with writing(engine) as connection:
        connection.execute(update(models.Feed).where(models.Feed.id == 5).values(options=None))
    assert hosts.without_robots(engine, range(1_000)) == {4}
