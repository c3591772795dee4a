"""What a page declares of itself, collected in one pass, and what stands near its headline."""

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from worker.articles import jsonld, plain, titles
from worker.articles.jsonld import Node

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_LONGEST_TITLE = 500
LONGEST_URL = 2_000
_MOST_OF_A_META = 50


class Head:
    """A page's head, its JSON-LD and what stands near its headline; collected in one pass."""

    def __init__(self, tree: "HtmlElement", url: str) -> None:
        self.root = tree.getroot() if hasattr(tree, "getroot") else tree
        self.url = url
        self.host = _host(url)
        self.base = url
        self.metas: dict[str, list[str]] = {}
        self.links: dict[str, list[str]] = {}
        self.scripts: list[str] = []
        self.headings: list[HtmlElement] = []
        self.times: list[HtmlElement] = []
        self.title = ""
        for element in self.root.iter("base", "meta", "link", "script", "title", "h1", "time"):
            self._take(element)

    def _take(self, element: "HtmlElement") -> None:
        tag = element.tag
        if tag == "meta":
            self._take_meta(element)
        elif tag == "script":
            if "ld+json" in element.get("type", "").lower() and element.text:
                self.scripts.append(element.text)
        elif tag == "link":
            href = element.get("href", "").strip()
            for rel in element.get("rel", "").lower().split() if href else ():
                self.links.setdefault(rel, []).append(href)
        elif tag == "h1":
            self.headings.append(element)
        elif tag == "time":
            self.times.append(element)
        elif tag == "title":
            # An SVG may have one, and so may a second page that was pasted in.
            self.title = self.title or text_of(element)
        elif tag == "base":
            self.base = absolute(element.get("href", ""), self.url) or self.base

    def _take_meta(self, element: "HtmlElement") -> None:
        content = element.get("content")
        if content is None or not content.strip():
            return
        for attribute in ("property", "name", "itemprop", "http-equiv"):
            name = element.get(attribute)
            if name and len(name) <= 60:
                kept = self.metas.setdefault(name.strip().lower(), [])
                if len(kept) < _MOST_OF_A_META and content not in kept:
                    kept.append(content)

    def meta(self, *names: str, longest: int = 1_000) -> str:
        """The first of these metas that says something, as one line."""
        for name in names:
            for content in self.metas.get(name, ()):
                if found := plain.line(content, longest):
                    return found
        return ""

    def link(self, rel: str) -> str | None:
        """The absolute URL of the first link with that relation."""
        for href in self.links.get(rel, ()):
            if found := absolute(href, self.base):
                return found
        return None

    @cached_property
    def language(self) -> str | None:
        declared = self.root.get("lang") or self.root.get("xml:lang")
        declared = declared or self.meta("content-language", "og:locale", "language")
        declared = declared or self.text("inLanguage")
        return plain.line(declared, 35).split(",")[0].strip() or None

    @cached_property
    def section(self) -> str:
        found = self.text("articleSection") or self.meta(
            "article:section", "parsely-section", "sailthru.section", "section", "category",
            "content_category", "cxenseparse:category",
        )  # fmt: skip
        return found.split(",")[0].strip()

    @cached_property
    def description(self) -> str | None:
        return (
            self.meta("og:description", "description", "twitter:description", longest=2_000)
            or self.text("description")
            or None
        )

    @cached_property
    def canonical(self) -> str | None:
        declared = self.link("canonical") or self.meta("og:url", "twitter:url")
        return absolute(declared, self.base) if declared else None

    @cached_property
    def is_amp(self) -> bool:
        return "amp" in self.root.attrib or "⚡" in self.root.attrib

    @cached_property
    def headline(self) -> str:
        declared = [jsonld.text(node.get("headline"), _LONGEST_TITLE) for node in self.articles]
        shared = [self.meta("og:title", longest=_LONGEST_TITLE), self.meta("twitter:title")]
        shown = [text_of(one) for one in self.headings[:5]]
        return titles.choose(
            declared, shared, [one for one in shown if one], self.title, self.site, self.section
        )

    @cached_property
    def heading(self) -> "HtmlElement | None":
        """The element that shows the headline, or else the start of the article."""
        wanted = plain.key(self.headline)
        if wanted:
            others = () if self.headings else islice(self.root.iter("h2", "h3"), 100)
            for element in (*self.headings[:5], *others):
                key = plain.key(text_of(element))
                if key and (wanted in key or (key in wanted and len(key) > len(wanted) // 3)):
                    return element
        if self.headings:
            return self.headings[0]
        return next(self.root.iter("article", "main"), None)

    @cached_property
    def near(self) -> list["HtmlElement"]:
        """The elements near the headline: those behind it, then those before, the nearest first."""
        return [*self.behind, *self.before]

    @cached_property
    def behind(self) -> list["HtmlElement"]:
        return _heard(islice(_following(self.heading), _BEHIND))

    def following(self) -> Iterator["HtmlElement"]:
        """All elements behind the headline."""
        return _following(self.heading)

    @cached_property
    def before(self) -> list["HtmlElement"]:
        return _heard(islice(_preceding(self.heading), _BEFORE))

    @cached_property
    def nodes(self) -> list[Node]:
        return jsonld.nodes(self.scripts)

    @cached_property
    def ids(self) -> dict[str, Node]:
        return jsonld.by_id(self.nodes)

    @cached_property
    def articles(self) -> list[Node]:
        """The JSON-LD nodes of this page's article, the one that is surely it first."""
        found = [node for node in self.nodes if _is_article(node)]
        here = {bare(url) for url in (self.url, self.canonical) if url}
        own = [node for node in found if here & _addresses(node)]
        # Endless scroll appends other articles, with nodes of their own.
        return own or [node for node in found if not _addresses(node)] or found[:1]

    @cached_property
    def others(self) -> list[Node]:
        """Nodes of the page, which may name a date or a person where the article's do not."""
        return [node for node in self.nodes if _is_page(node)]

    def text(self, *names: str) -> str:
        """The first of these properties that the article's JSON-LD has."""
        for node in self.articles:
            for name in names:
                if found := jsonld.text(node.get(name)):
                    return found
        return ""

    @cached_property
    def publishers(self) -> tuple[str, ...]:
        """The names that the page gives its publisher, likeliest first."""
        named = [
            self.named(one)
            for node in self.articles
            for one in jsonld.values(node.get("publisher"))
        ]
        found = [
            *named,
            self.meta("og:site_name"),
            *(jsonld.text(n.get("name")) for n in self.nodes if "WebSite" in jsonld.types(n)),
            self.meta("application-name", "al:iphone:app_name", "apple-mobile-web-app-title"),
            *(
                jsonld.text(n.get("name"))
                for n in self.nodes
                if "NewsMediaOrganization" in jsonld.types(n)
            ),
        ]
        return tuple(dict.fromkeys(one for one in found if one))

    def resolved(self, node: Node) -> Node:
        """The node that `node` refers to by its `@id`, where it says no more itself."""
        name = node.get("@id")
        return self.ids.get(name, node) if isinstance(name, str) and "name" not in node else node

    def named(self, value: Any) -> str:
        """The name of a person or an organisation."""
        if isinstance(value, dict):
            value = self.resolved(value)
            return jsonld.text(value, 200) if value.get("name") else ""
        return jsonld.text(value, 200)

    @cached_property
    def labels(self) -> set[str]:
        return {one for one in self.host.split(".")[:-1] if one not in {"www", "m", "amp"}}

    @cached_property
    def site(self) -> set[str]:
        """Keys of all the names that the site goes by, to tell it from people and headlines."""
        labels = [one for one in self.host.split(".") if one not in {"www", "m", "amp"}]
        found = {plain.key(self.host), plain.key(".".join(labels))}
        found |= {plain.key(one) for one in labels if len(one) > 3}
        found |= {plain.key(".".join(labels[start:])) for start in range(len(labels) - 1)}
        for name in (*self.publishers, self.meta("twitter:site").lstrip("@")):
            key = plain.key(name)
            found |= {key, key.removeprefix("the"), key.removesuffix("com")}
        return {one for one in found if one}


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def absolute(href: str, base: str) -> str | None:
    try:
        url = urljoin(base, plain.line(href, LONGEST_URL + 1))
    except ValueError:  # such as a broken IPv6 literal
        return None
    return url if url.startswith(("http://", "https://")) and len(url) <= LONGEST_URL else None


def text_of(element: "HtmlElement", between: str = "", most: int = 100) -> str:
    """The element's text as one line; of its `most` first pieces, and to about 1,000 characters."""
    pieces: list[str] = []
    size = 0
    for piece in islice(element.itertext(), most):
        pieces.append(piece[:2_000])
        size += len(piece)
        if size > 2_000:
            break
    return plain.line(between.join(pieces))


_ARTICLES = frozenset({"BlogPosting", "LiveBlogPosting", "Report", "Review", "NewsStory", "Recipe"})


def _is_article(node: Node) -> bool:
    return any(one.endswith("Article") or one in _ARTICLES for one in jsonld.types(node))


def _is_page(node: Node) -> bool:
    return any(one.endswith("Page") for one in jsonld.types(node)) or (
        "datePublished" in node and "headline" in node
    )


def _addresses(node: Node) -> set[str]:
    found = set()
    for name in ("url", "mainEntityOfPage", "@id"):
        for one in jsonld.values(node.get(name)):
            url = (one.get("@id") or one.get("url")) if isinstance(one, dict) else one
            if isinstance(url, str) and url.startswith("http"):
                found.add(bare(url))
    return found


def bare(url: str) -> str:
    """What two addresses of a page have in common."""
    url = url.partition("#")[0].partition("?")[0].rstrip("/")
    return url.partition("://")[2].removeprefix("www.").removeprefix("m.").lower()


_BEHIND = 200  # elements behind the headline in which its byline and date are looked for
_BEFORE = 40
_SILENT = frozenset({"script", "style", "noscript", "template", "option", "svg", "path"})


def _heard(elements: Iterator["HtmlElement"]) -> list["HtmlElement"]:
    return [element for element in elements if element.tag not in _SILENT]


def _following(element: "HtmlElement | None") -> Iterator["HtmlElement"]:
    while element is not None:
        for sibling in element.itersiblings():
            yield from sibling.iter("*")
        element = element.getparent()


def _preceding(element: "HtmlElement | None") -> Iterator["HtmlElement"]:
    while element is not None:
        for sibling in element.itersiblings(preceding=True):
            yield from sibling.iter("*")
        element = element.getparent()


def is_caption(element: "HtmlElement") -> bool:
    return element.tag in {"figcaption", "caption"} or "caption" in element.get("class", "")
