"""What is remembered of the blocks of a host's articles."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from tests.store.rows import rows
from worker.articles import furniture
from worker.articles.furniture import MOST_FURNITURE, MOST_OTHERS, Block
from worker.store import hosts
from worker.store.hosts import Lesson
from worker.store.models import Host
from worker.store.sessions import writing


def lesson(host: str, article_id: int) -> Lesson:
    keys = ("box", *(f"{article_id}-{n}" for n in range(5)))
    return Lesson(host, article_id, [Block(key, 100) for key in keys])


def learned(engine: Engine, host: str) -> frozenset[str]:
    return furniture.of(hosts.furniture(engine, [host]).get(host, {}))


def test_each_host_has_its_own(engine: Engine) -> None:
    hosts.learn_furniture(engine, [lesson("a.example", 1), lesson("b.example", 2)])
    hosts.learn_furniture(engine, [lesson("a.example", 3), lesson("a.example", 4)])
    hosts.learn_furniture(engine, [])
    assert learned(engine, "a.example") == {"box"}
    assert learned(engine, "b.example") == set()
    assert hosts.furniture(engine, ["c.example"]) == {}
    assert len(rows(engine, Host)) == 2


def test_a_host_that_was_met_otherwise_keeps_what_is_known_of_it(engine: Engine) -> None:
    with writing(engine) as connection:
        hosts.count_languages(connection, [("a.example", "id")])
    assert hosts.furniture(engine, ["a.example"]) == {}
    hosts.learn_furniture(engine, [lesson("a.example", n) for n in range(3)])
    assert learned(engine, "a.example") == {"box"}
    assert hosts.languages(engine, ["a.example"]) == {"a.example": {"id": 1}}


def test_the_order_in_which_they_were_seen_is_kept(engine: Engine) -> None:
    hosts.learn_furniture(engine, [lesson("a.example", n) for n in range(200)])
    memory = hosts.furniture(engine, ["a.example"])["a.example"]
    assert len(memory) <= MOST_FURNITURE + MOST_OTHERS
    assert [*memory][-6:] == ["box", *(f"199-{n}" for n in range(5))]


def test_many_at_once_lose_nothing(engine: Engine) -> None:
    """Each thread brings one article of each host, in another order."""
    names = [f"{n}.example" for n in range(6)]

    def teach(number: int) -> None:
        order = names[number:] + names[:number]
        hosts.learn_furniture(engine, [lesson(name, number) for name in order])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(teach, range(6)))
    for name in names:
        memory = hosts.furniture(engine, [name])[name]
        assert sum(key != "box" for key in memory) == 6 * 5
        assert furniture.of(memory) == {"box"}
