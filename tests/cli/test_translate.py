"""`kabar translate`."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from tests.cli.running import Commands
from tests.store.rows import HOUR, add_article, rows
from worker.store.models import Article

DAY = timedelta(days=1)


def left(engine: Engine, age: timedelta, reason: str = "rejected") -> int:
    """An article that was left untranslated."""
    return add_article(
        engine, "done", translation_status="untranslated", translation_reason=reason,
        first_seen_at=datetime.now(UTC) - age,
    )  # fmt: skip


def test_what_is_untranslated_is_translated_again(kabar: Commands, either_store: Engine) -> None:
    mine = [left(either_store, HOUR), left(either_store, 6 * DAY, "no_engine")]
    left(either_store, 8 * DAY)
    left(either_store, HOUR, "crashed")
    assert kabar("translate", "backfill", "--json").json == {"articles": mine}
    stages = {row["id"]: row["stage"] for row in rows(either_store, Article)}
    assert [number for number, stage in stages.items() if stage == "translate"] == mine


@pytest.mark.parametrize(("since", "number"), [("30m", 0), ("2h", 1), ("9d", 2)])
def test_since_when(kabar: Commands, store: Engine, since: str, number: int) -> None:
    left(store, HOUR)
    left(store, 8 * DAY)
    taken = kabar("translate", "backfill", "--since", since, "--json").json["articles"]
    assert len(taken) == number


def test_how_many_is_said(kabar: Commands, store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    left(store, HOUR)
    assert kabar("translate", "backfill").out.splitlines() == [
        "1 article will be translated",
        "but no engine is set up: see translate.engines in config/kabar.toml",
    ]
    monkeypatch.setenv("KABAR_TRANSLATE__ENGINES", "libretranslate")
    assert kabar("translate", "backfill").out == "0 articles will be translated\n"


def test_an_age_that_is_none(kabar: Commands, store: Engine) -> None:
    done = kabar("translate", "backfill", "--since", "soon")
    assert (done.code, done.error) == (1, "kabar: --since soon: 2d, 12h or 30m was expected")
