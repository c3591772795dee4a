"""What is remembered of a host's languages."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from tests.store.rows import rows
from worker.store import hosts
from worker.store.models import Host
from worker.store.sessions import writing


def count(engine: Engine, *told: tuple[str, str]) -> None:
    with writing(engine) as connection:
        hosts.count_languages(connection, told)


def test_articles_are_added_up_by_host_and_language(engine: Engine) -> None:
    count(engine, ("a.example", "id"), ("b.example", "en"), ("a.example", "id"))
    count(engine, ("a.example", "id"), ("a.example", "en"), ("c.example:8080", "zh"))
    assert hosts.languages(engine, ["a.example", "b.example", "c.example:8080", "d.example"]) == {
        "a.example": {"id": 3, "en": 1},
        "b.example": {"en": 1},
        "c.example:8080": {"zh": 1},
    }
    count(engine)
    assert len(rows(engine, Host)) == 3


def test_a_host_that_was_met_otherwise_has_none(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(Host.__table__.insert().values(host="a.example"))
    assert hosts.languages(engine, ["a.example"]) == {}
    count(engine, ("a.example", "id"))
    assert hosts.languages(engine, ["a.example"]) == {"a.example": {"id": 1}}


def test_two_at_once_lose_nothing(engine: Engine) -> None:
    def many(_: int) -> None:
        for _ in range(10):
            count(engine, ("b.example", "id"), ("a.example", "id"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(many, range(4)))
    assert hosts.languages(engine, ["a.example", "b.example"]) == {
        "a.example": {"id": 40},
        "b.example": {"id": 40},
    }


def test_many_hosts_are_one_statement_and_read_in_parts(engine: Engine) -> None:
    names = [f"{number}.example" for number in range(1_200)]
    count(engine, *((name, "id") for name in names))
    assert hosts.languages(engine, names) == {name: {"id": 1} for name in names}
