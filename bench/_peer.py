"""The script that one would write instead: feeds in, signed alerts out, one after the other.

    python bench/_peer.py HOOK SECRET FEED…

It knows no failure, no second run and no second story from another site.
"""

import json
import sys
import urllib.request
from datetime import UTC, datetime

import feedparser
import trafilatura
from standardwebhooks import Webhook


def main(hook: str, secret: str, feeds: list[str]) -> None:
    seen: set[str] = set()
    for url in feeds:
        feed = feedparser.parse(get(url))
        for entry in feed.entries:
            if entry.link in seen:
                continue
            seen.add(entry.link)
            article = trafilatura.bare_extraction(
                get(entry.link), url=entry.link, with_metadata=True
            )
            if article is None or isinstance(article, dict) or not article.text:
                continue
            story = {
                "id": entry.id,
                "title": entry.title,
                "summary": ". ".join(article.text.split(". ")[:3]),
            }
            data = {
                "story": story,
                "article": {"url": entry.link, "publisher": article.sitename},
                "feed": {"title": feed.feed.title},
            }
            post(hook, secret, entry.id, {"type": "story.created", "data": data})


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        return bytes(response.read())


def post(hook: str, secret: str, name: str, document: object) -> None:
    body = json.dumps(document)
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, now, body),
    }
    request = urllib.request.Request(hook, body.encode(), headers)
    urllib.request.urlopen(request, timeout=30).close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
