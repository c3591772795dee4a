"""Translations by a model on this machine: fxtranslate on a hand-made one, in its own process."""

import os
import signal
from html import escape
from pathlib import Path

import psutil
import pytest

from tests.http.peers import Handler, answer
from tests.language.records import Records
from tests.language.words import id_en
from tests.tasks.conftest import Bench, MakeBench
from tests.tasks.site import Site
from tests.tasks.test_updates import told
from tests.tasks.test_walk import walk
from worker import tasks
from worker.language.translate import downloads
from worker.language.translate.models import Models

TITLES = {
    "/harga": "pemerintah mengumumkan harga naik di jakarta.",
    "/hujan": "hujan besar banjir di kota jakarta.",
}
IN_ENGLISH = {
    "/harga": "government announces price rises in Jakarta.",
    "/hujan": "rain big flood in city Jakarta.",
}


def page(title: str) -> Handler:
    """An Indonesian article of the few words that the model has."""
    sentences = (
        f"{title} warga di rumah baru makan di jakarta. saya makan di rumah besar di kota baru.",
        "pemerintah di jakarta mengumumkan rumah baru di kota. harga rumah di kota naik.",
        "hujan di jakarta, banjir di kota. warga di kota besar mengumumkan banjir baru.",
    )
    body = "".join(f"<p>{escape(one)}</p>" for one in sentences)
    html = f"<html lang=id><title>{title}</title><article><h1>{title}</h1>{body}</article></html>"
    return answer(html.encode(), headers={"Content-Type": "text/html; charset=utf-8"})


def list_of(site: Site, *paths: str) -> Handler:
    items = "".join(
        f"<item><title>{TITLES[path]}</title><guid>{path}</guid><link>{site.url(path)}</link></item>"
        for path in paths
    )
    document = f'<rss version="2.0"><channel><title>Kabar</title><language>id</language>{items}'
    whole = f"{document}</channel></rss>"
    return answer(whole.encode(), headers={"Content-Type": "application/rss+xml"})


@pytest.fixture
def bench(make_bench: MakeBench, site: Site, tmp_path: Path) -> Bench:
    """Translates with the models that are there, and fetches none."""
    site.routes = {
        "/feed": list_of(site, "/harga"),
        "/hook": answer(),
        **{path: page(title) for path, title in TITLES.items()},
    }
    bench = make_bench(
        translate={
            "engines": ["firefox"],
            "firefox": {"fetch": False, "timeout_seconds": 60},
            "models_dir": tmp_path / "models",
        },
        webhooks={"update_wait_seconds": 0},
    )
    bench.tell(site.url("/hook"))
    bench.follow(site.url("/feed"))
    return bench


def fetch_model(bench: Bench, directory: Path) -> None:
    """As `kabar models fetch id en` does."""
    with Records(directory / "server") as records:
        model = id_en()
        records.publish("id", "en", model.model, model.vocabulary)
        mirror = bench.settings.translate.firefox.model_copy(
            update={
                "records_url": records.records_url,
                "attachments_url": records.attachments_url,
            }
        )
        models = Models(bench.settings.models_dir)
        downloads.fetch(models, mirror, bench.settings.http, "id", "en", bench.now())


def children() -> list[int]:
    """The processes that translate for this one."""
    return [
        int(one.pid)
        for one in psutil.Process().children()
        if any(part.endswith("translate/child.py") for part in one.cmdline())
    ]


def test_a_model_that_comes_later_and_a_child_that_is_killed(
    bench: Bench, site: Site, tmp_path: Path
) -> None:
    walk()
    (created,) = told(bench, site)
    assert created["data"]["story"]["translations"] == {"en": None}
    assert bench.article()["translation_reason"] == "no_engine"
    tasks.sweep()
    tasks.translate()
    assert bench.article()["stage"] == "done"  # and there it stays

    fetch_model(bench, tmp_path)
    bench.woken()
    tasks.sweep()
    assert bench.woken() == {"translate"}
    for _ in range(2):  # one finds it, the next one has it translated
        tasks.translate()
    walk(tasks.publish, tasks.deliver)
    _, updated = told(bench, site)
    english = updated["data"]["story"]["translations"]["en"]
    assert (english["title"], english["engine"]) == (IN_ENGLISH["/harga"], "firefox")
    assert english["model"] == "id-en 3.0"

    (child,) = children()
    os.kill(child, signal.SIGKILL)
    site.routes["/feed"] = list_of(site, "/harga", "/hujan")
    bench.make_due()
    walk()
    *_, second = told(bench, site)
    assert second["type"] == "story.created"
    english = second["data"]["story"]["translations"]["en"]
    assert english["title"] == IN_ENGLISH["/hujan"]

    (child,) = children()
    tasks.stop(0)
    assert not psutil.pid_exists(child)
