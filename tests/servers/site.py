"""A web site on loopback: a feed, its articles, and a webhook; each can be made to hang."""

import random
import threading
from collections import Counter
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

_HANG_SECONDS = 300.0


@dataclass(frozen=True)
class Hook:
    """A webhook as it was received."""

    id: str
    headers: Message
    body: bytes


class Site:
    """Serves `/feed` with the articles `/a/0`, `/a/1`, …, and takes what is posted to `/hook`.

    Sites of different `seed` have no article in common. `requests` counts by path, `hooks` holds
    what was posted. A path in `hanging` gets no answer while it is there; `extra_text` is put into
    the page at its path.
    """

    def __init__(self, articles: int = 1, seed: int = 0) -> None:
        self.articles = articles
        self._seed = seed
        self.requests: Counter[str] = Counter()
        self.hooks: list[Hook] = []
        self.hanging: set[str] = set()
        self.extra_text: dict[str, str] = {}
        self._ended = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> "Site":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def page(self, path: str) -> tuple[str, str] | None:
        """Content type and text of what is at `path`."""
        if path == "/feed":
            return "application/rss+xml", self._feed()
        name, _, number = path.rpartition("/")
        if name == "/a" and number.isdigit() and int(number) < self.articles:
            return "text/html; charset=utf-8", self._article(int(number))
        return None

    def hang(self, path: str) -> None:
        """Wait while `path` is to hang."""
        for _ in range(int(_HANG_SECONDS / 0.05)):
            if path not in self.hanging or self._ended.wait(0.05):
                return

    def _feed(self) -> str:
        items = "".join(
            f"<item><title>{self._title(number)}</title><link>{self.url}/a/{number}</link>"
            f"<guid>{self.url}/a/{number}</guid></item>"
            for number in range(self.articles)
        )
        return f'<rss version="2.0"><channel><title>Site</title>{items}</channel></rss>'

    def _article(self, number: int) -> str:
        extra = self.extra_text.get(f"/a/{number}", "")
        source = random.Random(f"text {self._seed} {number}")
        paragraphs = "".join(f"<p>{extra} {text}</p>" for text in _paragraphs(source))
        title = self._title(number)
        return (
            f"<html lang=en><head><title>{title}</title></head><body><article>"
            f"<h1>{title}</h1>{paragraphs}</article></body></html>"
        )

    def _title(self, number: int) -> str:
        source = random.Random(f"title {self._seed} {number}")
        return f"Report on {' '.join(_words(source, 4))}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, site: Site) -> None:
        self.site = site
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no error of a test."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        site = self.server.site
        site.requests[self.path] += 1
        site.hang(self.path)
        page = site.page(self.path)
        kind, text = page or ("text/plain", "nothing here")
        self._answer(200 if page else 404, kind, text.encode())

    def do_POST(self) -> None:
        site = self.server.site
        site.requests[self.path] += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        site.hooks.append(Hook(self.headers["webhook-id"], self.headers, body))
        site.hang(self.path)
        self._answer(200, "text/plain", b"thanks")

    def log_message(self, *arguments: object) -> None:
        """Said nowhere; `requests` counts."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


_SYLLABLES = tuple(a + b for a in "bdfklmnprstvz" for b in "aeiou")


def _paragraphs(source: random.Random) -> list[str]:
    # Words that no two articles share, so that none is taken for another.
    return [
        " ".join(f"The {' '.join(_words(source, 14))}." for _sentence in range(4))
        for _paragraph in range(3)
    ]


def _words(source: random.Random, count: int) -> list[str]:
    return ["".join(source.choices(_SYLLABLES, k=3)) for _ in range(count)]
