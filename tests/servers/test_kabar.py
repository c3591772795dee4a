from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.kabar import Kabar


@pytest.fixture
def kabar(tmp_path: Path, migrated_sqlite_url: str) -> Iterator[Kabar]:
    kabar = Kabar(tmp_path, {"KABAR_STORE__URL": migrated_sqlite_url, "KABAR_WEB__PORT": "0"})
    yield kabar
    kabar.close()


def test_a_process_is_ready_when_it_says_so_and_logs_to_its_file(kabar: Kabar) -> None:
    web = kabar.start("web")
    assert web.records()
    assert web.stop() == 0


def test_one_that_ends_before_it_is_ready_is_an_error_with_its_log(kabar: Kabar) -> None:
    with pytest.raises(AssertionError, match=r"ended with 2: (.|\n)*KABAR_NONSENSE"):
        kabar.start("web", KABAR_NONSENSE="1")


def test_what_a_command_printed_is_returned(kabar: Kabar) -> None:
    kabar.run("feeds", "add", "https://example.org/feed", "--no-discover")
    (feed,) = kabar.json("feeds", "list")
    assert feed["url"] == "https://example.org/feed"
    assert kabar.run("feeds", "ad").returncode == 2
