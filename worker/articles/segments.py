"""One pass over a page's tree: its text in segments, each with what the markup says of it."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lxml.etree import iterwalk

if TYPE_CHECKING:
    from lxml.html import HtmlElement

HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))

_BLOCKS = HEADINGS | frozenset(
    (
        "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details",
        "dialog", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header",
        "hgroup", "hr", "html", "li", "main", "menu", "nav", "ol", "p", "pre", "section", "summary",
        "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
    )
)  # fmt: skip
_LEAVES = HEADINGS | frozenset(("p", "li", "dt", "dd", "td", "th"))
_SKIPPED = frozenset(
    (
        "script", "style", "svg", "template", "noscript", "iframe", "head", "object", "embed",
        "audio", "video", "canvas", "select", "textarea", "option", "math", "map",
    )
)  # fmt: skip
_STRONG = frozenset(("b", "strong", "em", "i"))
_LISTS = frozenset(("ul", "ol", "aside"))
_HINTING_ELEMENTS = {
    "figcaption": "caption",
    "caption": "caption",
    "figure": "caption",
    "nav": "navigation",
    "aside": "aside",
    "footer": "footer",
    "button": "button",
    "label": "button",
    "form": "form",
    "address": "byline",
    "dialog": "dialog",
    "amp-ad": "advert",
    "amp-embed": "related",
    "amp-list": "related",
    "amp-social-share": "share",
}
# What sites also call their whole article, or what may be the article: slide shows have all their
# text in captions.
_MAYBE = frozenset(
    ("caption", "credit", "box", "embed", "byline", "advert", "tags", "teaser", "promo", "button")
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_LONGEST_NAMES = 500  # characters of class and id that are read
_MOST_REMEMBERED = 20_000  # classes; a site has some hundreds
_SHAPE = 60  # characters of a class that tell elements apart
_PROSE = 80  # characters; shorter blocks are as often furniture
_DENSE, _DENSITY = "\u3040", 3  # from where on a character says more, and how much
_PROSE_LINKS = 0.3
_MOST_MARKS = 50  # elements around a segment that say something
_MOST_OF_PAGE = 0.4  # of its prose: what wraps that much is the article, whatever it is called
_MOST_OF_LIST = 0.8  # a list or an aside may be as long as that and yet no article
_MOST_OF_BOX = 0.15
_SHORTEST_START = 30
_START = 25
_NONE: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class Mark:
    """What an element's name, class and id say of all that is in it; `prose` is how much is."""

    hints: frozenset[str]
    is_list: bool = False
    prose: int = 0


@dataclass(slots=True, eq=False)
class Container:
    """An element that holds segments directly. `shape`, its name and class and those above it, is
    what it shares with its likes; `prose` characters of it are free of hints.
    """

    shape: tuple[str, ...]
    parent: "Container | None" = None
    paragraphs: int = 0
    prose: int = 0


@dataclass(slots=True, eq=False)
class Segment:
    """A run of text that the page shows as one block.

    `links`, `own_links` and `strong` count its characters within links, within links to the same
    site, and in bold or italics. `article` numbers the `<article>` around it, 0 for none.
    """

    index: int
    text: str
    element: str
    container: Container
    links: int
    own_links: int
    strong: int
    marks: tuple[Mark, ...]
    article: int
    is_prose: bool
    hints: frozenset[str] = _NONE

    @property
    def shape(self) -> tuple[str, ...]:
        return (*self.container.shape, self.element)


@dataclass(slots=True)
class Segments:
    """A page's segments in its order."""

    all: list[Segment]
    containers: list[Container]
    _by_key: dict[str, list[Segment]] = field(default_factory=dict)
    _by_start: dict[str, Segment] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.all:
            self._by_key.setdefault(key(one.text), []).append(one)

    def find(self, text: str, after: int) -> Segment | None:
        """The segment with that text: the first behind the one numbered `after`, if any is."""
        if found := self._by_key.get(key(text)):
            at = bisect_right(found, after, key=_index)
            return found[at] if at < len(found) else found[0]
        return self._starting(text) if len(text) > _SHORTEST_START else None

    def _starting(self, text: str) -> Segment | None:
        if not self._by_start:
            for one in self.all:
                self._by_start.setdefault(_start(one.text), one)
        return self._by_start.get(_start(text))


class Hints:
    """Hints by words of class names and ids: `{"caption": ["caption", "wp caption"], …}`."""

    def __init__(self, words: Mapping[str, Iterable[str]]) -> None:
        self._phrases: dict[str, list[tuple[list[str], str]]] = {}
        for hint, phrases in words.items():
            for phrase in phrases:
                first, *rest = phrase.split()
                self._phrases.setdefault(first, []).append((rest, hint))
        self._known: dict[str, frozenset[str]] = {}

    def of(self, element: str, names: str) -> frozenset[str]:
        name = f"{element} {names[:_LONGEST_NAMES]}"
        found = self._known.get(name)
        if found is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            found = self._known[name] = self._read(element, names[:_LONGEST_NAMES])
        return found

    def _read(self, element: str, names: str) -> frozenset[str]:
        words = " ".join(_WORD.findall(names)).lower().split()
        found = set()
        if not self._phrases.keys().isdisjoint(words):
            for at, word in enumerate(words, 1):
                for rest, hint in self._phrases.get(word, ()):
                    if not rest or words[at : at + len(rest)] == rest:
                        found.add(hint)
        if element in _HINTING_ELEMENTS:
            found.add(_HINTING_ELEMENTS[element])
        return frozenset(found)


def key(text: str) -> str:
    """What a text is found by, however its white space and list marks are written."""
    return "".join(text.split()).lstrip("-•*|")


def is_prose(text: str, links: int) -> bool:
    """Whether a text is as long as paragraphs are, and not mainly links."""
    return size_of(text) >= _PROSE and links <= _PROSE_LINKS * len(text)


def size_of(text: str) -> int:
    """The length of a text in characters of an alphabet; one of a CJK script says more."""
    size = len(text)
    return size * _DENSITY if text[size // 2 : size // 2 + 1] >= _DENSE else size


def _index(one: Segment) -> int:
    return one.index


def _start(text: str) -> str:
    return key(text[: 2 * _START])[:_START]


def read(tree: "HtmlElement", url: str, hints: Hints) -> Segments:
    """The segments of a parsed page."""
    walk = _Walk(url, hints)
    walk.run(tree)
    _hint(walk.segments)
    return Segments(walk.segments, walk.containers)


class _Walk:
    """The state of the pass: the text since the last block began or ended, and what is around."""

    def __init__(self, url: str, hints: Hints) -> None:
        self.segments: list[Segment] = []
        self.containers: list[Container] = [Container(())]
        self._site = site_of(url)
        self._hints = hints
        self._parts: list[str] = []
        self._in_link = self._in_strong = 0
        self._is_own = False
        self._links = self._own_links = self._strong = 0
        self._marks: tuple[Mark, ...] = ()
        self._container = self.containers[0]
        self._element = "body"
        self._article = self._articles = 0

    def run(self, tree: "HtmlElement") -> None:
        # What to go back to where an element ends; None for those that changed nothing.
        stack: list[tuple[tuple[Mark, ...], Container, str, int] | None] = []
        walk = iterwalk(tree, events=("start", "end"))
        for event, node in walk:
            tag = node.tag
            if event == "start":
                if tag in _SKIPPED or tag.__class__ is not str:
                    walk.skip_subtree()
                    stack.append(None)
                    continue
                now = (self._marks, self._container, self._element, self._article)
                stack.append(now if self._enter(node, tag) else None)
                text = node.text
            else:
                if tag in _BLOCKS:
                    if self._parts:
                        self._flush()
                elif tag == "a":
                    self._in_link -= 1
                elif tag in _STRONG:
                    self._in_strong -= 1
                before = stack.pop()
                if before is not None:
                    self._marks, self._container, self._element, self._article = before
                text = node.tail
            if text:
                self._add(text)
        self._flush()

    def _enter(self, node: "HtmlElement", tag: str) -> bool:
        """Begin an element; whether there is something to go back to at its end."""
        if tag in _BLOCKS:
            if self._parts:
                self._flush()
            names, name = node.get("class", ""), node.get("id")
            if names or name or tag in _HINTING_ELEMENTS:
                self._mark(tag, names, name)
            if tag not in _LEAVES:
                shape = (*self._container.shape[-3:], f"{tag}.{_kind(names)}")
                self._container = Container(shape, self._container)
                self.containers.append(self._container)
            if tag == "article":
                self._articles += 1
                self._article = self._articles
            self._element = tag
            return True
        if tag == "br":
            self._flush()
        elif tag == "a":
            self._in_link += 1
            self._is_own = self._leads_home(node.get("href") or "")
        elif tag in _STRONG:
            self._in_strong += 1
        elif tag in _HINTING_ELEMENTS or "-" in tag:  # an element of the site's own, with blocks
            return self._mark(tag, node.get("class", ""), node.get("id"))
        return False

    def _mark(self, tag: str, names: str, name: str | None) -> bool:
        found = self._hints.of(tag, f"{names} {name}" if name else names)
        if not found or len(self._marks) >= _MOST_MARKS:
            return False
        self._marks = (*self._marks, Mark(found, tag in _LISTS))
        return True

    def _add(self, text: str) -> None:
        self._parts.append(text)
        if self._in_link or self._in_strong:
            size = len(text.strip())
            if self._in_link:
                self._links += size
                if self._is_own:
                    self._own_links += size
            if self._in_strong:
                self._strong += size

    def _flush(self) -> None:
        if not self._parts:
            return
        text = " ".join("".join(self._parts).split())
        self._parts.clear()
        if text:
            self._close(text)
        self._links = self._own_links = self._strong = 0

    def _close(self, text: str) -> None:
        prose = is_prose(text, self._links)
        self.segments.append(
            Segment(
                len(self.segments), text, self._element, self._container, self._links,
                self._own_links, self._strong, self._marks, self._article, prose,
            )
        )  # fmt: skip

    def _leads_home(self, href: str) -> bool:
        if href.startswith(("http:", "https:", "//")):
            start = href[: href.find("/", 8) + 1 or len(href)]
            return bool(self._site) and site_of(start) == self._site
        return not href.startswith(("mailto:", "tel:", "javascript:", "#"))


def _kind(names: str) -> str:
    """The first words of a class: those behind them vary among an article's parts."""
    return " ".join(names.split(maxsplit=2)[:2])[:_SHAPE]


def _hint(segments: Sequence[Segment]) -> None:
    """Give each segment the hints around it, but for those of elements that hold the article."""
    prose = [one for one in segments if one.is_prose]
    for one in prose:
        one.container.paragraphs += 1
        for mark in one.marks:
            mark.prose += len(one.text)
    total = sum(len(one.text) for one in prose)
    limits = (_MOST_OF_PAGE * total, _MOST_OF_LIST * total)
    for one in segments:
        if one.marks:
            one.hints = _union(m for m in one.marks if m.prose <= limits[m.is_list])
    void = _void(prose, _MOST_OF_PAGE * total)
    for one in segments:
        if one.hints:
            one.hints -= void
            if "box" in one.hints and not _is_box(one, _MOST_OF_BOX * total):
                one.hints -= {"box"}
    for one in prose:
        if not one.hints:
            one.container.prose += len(one.text)


def _void(prose: Iterable[Segment], most: float) -> set[str]:
    """The hints that together have more of the prose, and may be the article."""
    marked: dict[str, int] = {}
    for one in prose:
        for hint in one.hints & _MAYBE:
            marked[hint] = marked.get(hint, 0) + len(one.text)
    return {hint for hint, size in marked.items() if size > most}


def _union(marks: Iterable[Mark]) -> frozenset[str]:
    return _NONE.union(*(mark.hints for mark in marks))


def _is_box(one: Segment, most: float) -> bool:
    """Whether the boxes around it are no larger than boxes are, and hold more than headings."""
    sizes = [mark.prose for mark in one.marks if "box" in mark.hints]
    return max(sizes) <= most and (one.element not in HEADINGS or max(sizes) > 0)


@lru_cache(4_096)
def site_of(url: str) -> str:
    """The registered part of a URL's host, near enough: its last two or three labels."""
    try:
        labels = (urlsplit(url).hostname or "").split(".")
    except ValueError:
        return ""
    short = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3:] if short else labels[-2:])
