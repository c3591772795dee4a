"""Summaries whose sentences a model behind a server on loopback chooses."""

import pytest

from tests.http.peers import answer
from tests.servers.api import Answer, Api, Request
from tests.tasks.conftest import MakeBench
from tests.tasks.site import Site, article, feed
from tests.tasks.test_updates import told
from tests.tasks.test_walk import walk

FIRST = "The buoy was seen by the harbour in the morning, said the buoy board."
SECOND = "Nobody had expected the buoy of that size before the spring of this year."


@pytest.mark.parametrize(
    ("said", "method", "summary"),
    [
        ('{"sentences": [2, 3]}', "llm", f"{SECOND} {FIRST}"),
        ("The buoy has sunk.", "lead", f"{FIRST} {SECOND} {FIRST}"),
    ],
)
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_the_alert_tells_what_the_model_chose(
    request: pytest.FixtureRequest,
    make_bench: MakeBench,
    site: Site,
    store: str,
    said: str,
    method: str,
    summary: str,
) -> None:
    def model(asked: Request) -> Answer:
        return Answer(body={"choices": [{"message": {"content": said}}]})

    with Api(model) as api:
        bench = make_bench(
            request.getfixturevalue(f"migrated_{store}_url"),
            process={"summary_by": "llm"},
            translate={"openai": {"url": api.url, "model": "small"}},
        )
        site.routes |= {"/feed": feed(site.url("/a")), "/a": article("buoy"), "/hook": answer()}
        bench.tell(site.url("/hook"))
        bench.follow(site.url("/feed"))
        walk()
    assert len(api.requests) == 1
    found = bench.article()
    assert (found["summary"], found["summary_method"]) == (summary, method)
    assert found["degradations"] == []
    (created,) = told(bench, site)
    assert created["data"]["story"]["summary"] == found["summary"]
