"""WebSub in a whole Kabar: what a publisher tells its hub is alerted at once."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests import waiting
from tests.http.peers import answer, header
from tests.servers.hub import Hub
from tests.servers.kabar import Kabar
from tests.tasks.site import Site, article
from worker.webhooks import generate_secret

pytestmark = pytest.mark.slow

SECRET = generate_secret()
# Nobody polls before the test is over.
SETTINGS = {
    "KABAR_HTTP__ALLOW_NETWORKS": "127.0.0.0/8",
    "KABAR_POLL__INTERVAL_SECONDS": "3600",
    "KABAR_POLL__MIN_INTERVAL_SECONDS": "3600",
    "KABAR_TRANSLATE__ENGINES": "none",
}


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        site.routes["/hook"] = answer()
        yield site


@pytest.fixture
def kabar(tmp_path: Path, free_port: int) -> Iterator[Kabar]:
    """`kabar up`, whose web service hubs reach on `free_port`."""
    port = {
        "KABAR_WEB__PORT": str(free_port),
        "KABAR_WEBSUB__CALLBACK_URL": f"http://127.0.0.1:{free_port}",
    }
    kabar = Kabar(tmp_path, SETTINGS | port)
    try:
        kabar.start("up")
        yield kabar
    finally:
        kabar.close()


def test_a_publication_becomes_a_signed_alert_without_a_poll(kabar: Kabar, site: Site) -> None:
    with Hub() as hub:
        publish(site, hub, "lighthouse")
        hook = ("endpoints", "add", "desk", site.url("/hook"), "--secret", SECRET)
        assert kabar.run(*hook, "--allow-private", "--allow-http").returncode == 0
        assert kabar.run("feeds", "add", site.url("/feed")).returncode == 0
        waiting.until(hub.subscriptions, "a subscription")
        polls = site.asked("/feed")

        publish_and_wait(site, hub, "lighthouse", "ferry")
        publish_and_wait(site, hub, "lighthouse", "ferry", "harbour")
        assert alerts(site) == ["ferry", "harbour"]
        # The hub asked for it twice; we did not.
        assert site.asked("/feed") == polls + 2


def publish_and_wait(site: Site, hub: Hub, *names: str) -> None:
    """Tell the hub of a list whose last article is new, and wait for its alert."""
    publish(site, hub, *names)
    assert hub.publish(site.url("/feed")) == [204]
    waiting.until(lambda: names[-1] in alerts(site), f"an alert of {names[-1]}")


def publish(site: Site, hub: Hub, *names: str) -> None:
    """List articles in the feed, which names the hub in its document."""
    for name in names:
        site.routes[f"/{name}"] = article(name)
    items = "".join(
        f"<item><title>The {name}</title><guid>{site.url(f'/{name}')}</guid>"
        f"<link>{site.url(f'/{name}')}</link></item>"
        for name in names
    )
    links = (
        f"<atom:link rel='hub' href='{hub.url()}'/>"
        f"<atom:link rel='self' href='{site.url('/feed')}'/>"
    )
    document = (
        "<rss version='2.0' xmlns:atom='http://www.w3.org/2005/Atom'><channel>"
        f"<title>The Ledger</title>{links}{items}</channel></rss>"
    )
    site.routes["/feed"] = answer(
        document.encode(), headers={"Content-Type": "application/rss+xml"}
    )


def alerts(site: Site) -> list[str]:
    """The articles of which a verified webhook has told, in order."""
    bodies = []
    for request in site.requests:
        if request.startswith(b"POST /hook "):
            body = request.partition(b"\r\n\r\n")[2]
            names = ("webhook-id", "webhook-timestamp", "webhook-signature")
            signed = {name: header(request, name) or "" for name in names}
            Webhook(SECRET).verify(body, signed)
            bodies.append(json.loads(body))
    return [body["data"]["article"]["url"].rpartition("/")[2] for body in bodies]
