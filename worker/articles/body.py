"""The body of an article: which extraction of its page to believe, and what that left out."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from worker.articles.segments import (
    HEADINGS,
    Container,
    Segment,
    Segments,
    is_prose,
    size_of,
)

_OUTSIDE = frozenset(
    (
        "related", "promo", "share", "author", "navigation", "footer", "comments", "aside", "box",
        "caption", "credit", "tags", "advert", "button", "form", "byline", "dialog", "rating",
    )
)  # fmt: skip
_NEVER_OWN = _OUTSIDE | {"teaser"}
_OF_THE_TEXT = frozenset(("paywall", "lead"))  # "subhead", "subtitle" are also called so
_PARTS = frozenset(("ul", "ol", "dl", "blockquote", "pre", "table", "tbody", "tr"))
_COLUMNS = frozenset(("td", "th"))
_NO_SUBHEADS = frozenset(("h1", "h5", "h6"))
_LONGEST_HEADING = 150
_CELLS = frozenset(("li", "td", "th", "dt", "dd"))
_NONE: frozenset[str] = frozenset()
_SHORT = 600  # characters; a body as short as that is doubted
_TOO_SHORT = 100  # as short as that, anything else is better
_FEW = 400
_LEAST = 250
_KEPT = 0.5  # of the prose that seems to be the article's
_KEPT_OF_SHORT = 0.9
_LARGE_LINE = 1_500
_MANY_LINES = 100
_MAIN_SHAPE = 0.2  # of the body's prose
_LEAST_BODY = 200
_MOST_SEGMENTS = 20_000  # trafilatura's time grows with their square
_TEASERS = 3
_DEEPEST = 30  # lists within lists
_MOST_ADDED = 500
_BELOW = 3  # segments from a heading to its text
_BELOW_HEADING = 40  # characters of what stands right below one
_SURE_SHARE, _SURE_SIZE, _SURE_PARAGRAPHS = 0.95, 700, 3
_HEADLINE_ABOVE = 40  # segments
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "\u00a0": " ", "\u00ad": None})
_BULLETS = " \t-–—•*►▶▸→»>|·●■◆➤➡👉✅🔴[("


@dataclass(slots=True, eq=False)
class Line:
    """A line of a body with the segment that it came from, if that was found.

    `folded` is the text to look phrases up in, `bare` that without bullets. `links` and `own` are
    the shares of its characters within links and within links to the same site. `exact`: the
    segment holds this line and no more. `rule` is what dropped it; "" for a line that is kept.
    `before` and `after` count the characters of prose on either side.
    """

    text: str
    segment: Segment | None
    folded: str
    bare: str
    links: float = 0.0
    own: float = 0.0
    exact: bool = False
    rule: str = ""
    before: int = 0
    after: int = 0
    is_prose: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_prose = is_prose(self.text, round(self.links * len(self.text)))

    @property
    def hints(self) -> frozenset[str]:
        return self.segment.hints if self.segment else _NONE

    @property
    def element(self) -> str:
        return self.segment.element if self.segment else ""

    @property
    def is_heading(self) -> bool:
        """Whether it is marked as one, or all in bold."""
        if self.segment is None:
            return False
        return self.element in HEADINGS or self.segment.strong >= 0.9 * len(self.text)


def fold(text: str) -> str:
    """`text` as phrases are compared: without case, typographic quotes and soft hyphens."""
    folded = text.casefold().strip()
    return folded if folded.isascii() else folded.translate(_QUOTES).strip()


def line(text: str, segment: Segment | None) -> Line:
    folded = fold(text)
    bare = folded.lstrip(_BULLETS) or folded
    if segment is None:
        return Line(text, None, folded, bare)
    size = max(len(segment.text), len(text))
    exact = abs(len(segment.text) - len(text)) < 8
    return Line(
        text, segment, folded, bare, segment.links / size, segment.own_links / size, exact
    )  # fmt: skip


def align(texts: Iterable[str], page: Segments) -> list[Line]:
    """An extraction's lines, each with the segment that it came from."""
    lines = []
    last = -1
    for raw in texts:
        text = " ".join(raw.split())
        if text.startswith("|"):
            text = " | ".join(filter(None, map(str.strip, text.split("|"))))
        if not _says_something(text):
            continue
        segment = page.find(text, last)
        if segment is not None:
            last = segment.index
        lines.append(line(text, segment))
    return lines


def _says_something(text: str) -> bool:
    return any(map(str.isalnum, text))


def choose(
    fast: Callable[[], str], standard: Callable[[], str], page: Segments
) -> tuple[list[Line], str]:
    """The body's lines, and whose they are.

    Our own where one element holds nearly all of the page's prose, as on half of all pages, or
    where the page is so large that the extractors would take minutes. Else those
    of the fast extraction, or of the standard one where the fast one kept too little of the prose
    and that has more; and again our own where neither found a body.
    """
    own = Own(page)
    if own.is_sure or len(page.all) > _MOST_SEGMENTS:
        return own.lines(), "container"
    method = "fast"
    lines = align(fast().splitlines(), page)
    mine = Selection(lines, page)
    if mine.is_doubtful:
        others = align(standard().splitlines(), page)
        theirs = Selection(others, page)
        if others and (mine.size < _TOO_SHORT or mine.is_surpassed_by(theirs)):
            lines, mine, method = others, theirs, "standard"
    if mine.size < _FEW or mine.is_heap or mine.is_menu:
        is_wrong = mine.is_heap or mine.is_menu
        least = _LEAST if is_wrong else max(_LEAST, 2 * mine.size)
        if not own.is_list and sum(size_of(one.text) for one in own.segments) > least:
            lines, method = own.lines(), "container"
    return put_back(lines, page), method


def all_of(page: Segments) -> list[Line]:
    """A line for each segment of a page that is nothing but an article."""
    return [
        line(one.text, one)
        for one in page.all
        if _says_something(one.text) and not one.hints & _OUTSIDE
    ]


class Own:
    """The article by the page's structure alone: what stands in the elements of the shape that
    has the most prose, from the first to the last such paragraph, and the lists, tables and
    headings between; with what prose there is between them and the headline.
    """

    def __init__(self, page: Segments) -> None:
        self._page = page
        self._shape = _richest(page)
        self._is_inside: dict[int, bool] = {}
        self.segments: list[Segment] = []
        direct = [
            one
            for one in page.all
            if one.container.shape == self._shape and not one.hints & _NEVER_OWN
        ]
        prose = [one.index for one in direct if one.is_prose]
        if self._shape and prose:
            self._add_above(direct[0])
            self._add_within(direct[0].index, direct[-1].index, prose[0], prose[-1])

    @property
    def is_sure(self) -> bool:
        """Whether it has nearly all prose that the page has, and enough of it."""
        mine = [one for one in self.segments if one.is_prose]
        size = sum(size_of(one.text) for one in mine)
        if len(mine) < _SURE_PARAGRAPHS or size < _SURE_SIZE:
            return False
        if len({one.article for one in mine}) > 1:
            return False
        around = sum(size_of(one.text) for one in self._page.all if _may_be_body(one))
        return size >= _SURE_SHARE * around

    @property
    def is_list(self) -> bool:
        """Whether it is teasers: several elements, and one paragraph in each."""
        prose = [one for one in self.segments if one.is_prose]
        homes = len({id(one.container) for one in prose})
        return homes >= _TEASERS and homes == len(prose)

    def lines(self) -> list[Line]:
        """A line for each segment; for the cells of a table one a row."""
        lines: list[Line] = []
        for one in self.segments:
            if not _says_something(one.text):
                continue
            last = lines[-1].segment if lines else None
            if last and one.element in _COLUMNS and one.container is last.container:
                lines[-1] = line(f"{lines[-1].text} | {one.text}", last)
            else:
                lines.append(line(one.text, one))
        return lines

    def _add_above(self, first: Segment) -> None:
        above = self._page.all[max(0, first.index - _HEADLINE_ABOVE) : first.index]
        headline = next((one for one in reversed(above) if one.element == "h1"), first)
        self.segments.extend(
            one
            for one in self._page.all[headline.index + 1 : first.index]
            if one.is_prose and not one.hints and one.article == first.article
        )

    def _add_within(self, first: int, last: int, first_prose: int, last_prose: int) -> None:
        heading: Segment | None = None
        for one in self._page.all[first : last + 1]:
            if one.hints & _NEVER_OWN:
                continue
            is_inside = self._holds(one.container)
            is_between = first_prose < one.index < last_prose
            if _is_heading(one) and not is_inside:
                if is_between and one.links < 0.5 * len(one.text) and not one.hints - _OF_THE_TEXT:
                    heading = one
            elif (is_inside and not _is_menu(one)) or (is_between and _may_be_between(one)):
                if heading is not None and len(one.text) >= _BELOW_HEADING:
                    self.segments.append(heading)
                heading = None
                self.segments.append(one)

    def _holds(self, container: Container) -> bool:
        """Whether it is of that shape, or a list or table within one that is."""
        found = self._is_inside.get(id(container))
        if found is None:
            one: Container | None = container
            for _ in range(_DEEPEST):
                if one is None or one.shape == self._shape or not _is_part(one):
                    break
                one = one.parent
            found = self._is_inside[id(container)] = one is not None and one.shape == self._shape
        return found


def _richest(page: Segments) -> tuple[str, ...]:
    sizes: dict[tuple[str, ...], int] = {}
    for one in page.containers:
        if one.prose:
            sizes[one.shape] = sizes.get(one.shape, 0) + one.prose
    return max(sizes, key=lambda shape: sizes[shape], default=())


def _is_heading(one: Segment) -> bool:
    """Whether it is an element of headings, or one whose class says "subheadline" and the like."""
    if one.element in HEADINGS:
        return True
    return "lead" in one.hints <= _OF_THE_TEXT and len(one.text) <= _LONGEST_HEADING


def _is_part(one: Container) -> bool:
    return bool(one.shape) and one.shape[-1].partition(".")[0] in _PARTS


def _is_menu(one: Segment) -> bool:
    if one.element == "li" and one.links > 0.8 * len(one.text):
        return True
    return "embed" in one.hints and not one.is_prose


def _may_be_between(one: Segment) -> bool:
    if one.is_prose:
        return not one.hints - {"embed"}
    return one.element in _CELLS and not one.hints and one.links < 0.3 * len(one.text)


class Selection:
    """What an extraction chose of a page."""

    def __init__(self, lines: Sequence[Line], page: Segments) -> None:
        self._page = page
        self._lines = lines
        self.segments = {one.segment.index: one.segment for one in lines if one.segment}
        self.size = sum(size_of(one.text) for one in lines)
        self.prose = sum(size_of(one.text) for one in self.segments.values() if one.is_prose)
        self._shapes = {one.shape for one in self.segments.values()}

    @property
    def is_heap(self) -> bool:
        """Whether it is the whole page in a line or two."""
        lost = sum(size_of(one.text) for one in self._lines if not one.exact)
        largest = max((size_of(one.text) for one in self._lines), default=0)
        return lost > 0.6 * self.size and largest > min(_LARGE_LINE, max(0.5 * self.size, 200))

    @property
    def is_menu(self) -> bool:
        """Whether it is many lines and hardly any of them a paragraph."""
        return len(self._lines) > _MANY_LINES and self.prose < 0.3 * self.size

    @property
    def is_doubtful(self) -> bool:
        """Whether it kept too little of the prose, of which a short one should have all."""
        share = _KEPT if self.size >= _SHORT else _KEPT_OF_SHORT
        return self.size < _LEAST or self.prose < share * self.prose_around()

    def prose_around(self) -> int:
        """How much the article seems to have: no lone paragraphs, which teasers are, but where
        others like them were chosen; and nothing of another `<article>`.
        """
        articles = {one.article for one in self.segments.values()}
        return sum(
            size_of(one.text)
            for one in self._page.all
            if _may_be_body(one)
            and (one.container.paragraphs > 1 or one.shape in self._shapes)
            and (not articles or one.article in articles)
        )

    def is_surpassed_by(self, other: "Selection") -> bool:
        """Whether the other has more of an article, and not just a list of teasers."""
        extra: dict[int, list[Segment]] = {}
        for index, one in other.segments.items():
            if index not in self.segments and _may_be_body(one):
                extra.setdefault(id(one.container), []).append(one)
        joined = sum(
            size_of(one.text)
            for group in extra.values()
            for one in group
            if len(group) > 1 or group[0].shape in self._shapes
        )
        return joined > max(0.3 * self.prose, 150)


def _may_be_body(one: Segment) -> bool:
    return one.is_prose and not one.hints & _OUTSIDE


def put_back(lines: list[Line], page: Segments) -> list[Line]:
    """Add the paragraphs that stand in an element like those of the kept ones, since an
    advertisement in the middle of an article makes two of it; and the subheads above any.
    """
    prose = [(one.segment, len(one.text)) for one in lines if one.segment and one.is_prose]
    total = sum(size for _, size in prose)
    if total < _LEAST_BODY:
        return lines
    shapes: dict[tuple[str, ...], int] = {}
    for segment, size in prose:
        shapes[segment.shape] = shapes.get(segment.shape, 0) + size
    main = {shape for shape, size in shapes.items() if size >= _MAIN_SHAPE * total}
    articles = {segment.article for segment, _ in prose}
    inside = {one.segment.index for one in lines if one.segment}
    start = min(inside)
    have = {one.folded for one in lines}
    text = "\n".join(have)
    others = [one for one in page.all if one.index not in inside and one.article in articles]
    added = [
        one
        for one in others
        if (_is_ingredient(one) or (one.index > start and _may_be_body(one) and one.shape in main))
        and (fold(one.text)[:60] not in text if one.is_prose else fold(one.text) not in have)
    ][:_MOST_ADDED]
    inside |= {one.index for one in added}
    added += [
        one
        for one in others
        if one.index > start
        and one.index not in inside
        and _is_subhead(one, page, inside)
        and fold(one.text) not in have
    ][:_MOST_ADDED]
    return _merge(lines, sorted(added, key=_index)) if added else lines


def _index(one: Segment) -> int:
    return one.index


def _is_ingredient(one: Segment) -> bool:
    return "recipe" in one.hints and one.links <= 0.5 * len(one.text) and not one.hints & _OUTSIDE


def _is_subhead(one: Segment, page: Segments, inside: Collection[int]) -> bool:
    """A heading right above a kept paragraph."""
    if not _is_heading(one) or one.element in _NO_SUBHEADS or one.links > 0.5 * len(one.text):
        return False
    if one.hints - _OF_THE_TEXT:
        return False
    below = page.all[one.index + 1 : one.index + 1 + _BELOW]
    following = next((other for other in below if other.is_prose), None)
    return following is not None and following.index in inside


def _merge(lines: Sequence[Line], added: Sequence[Segment]) -> list[Line]:
    result: list[Line] = []
    waiting = list(reversed(added))
    for one in lines:
        while waiting and one.segment and waiting[-1].index < one.segment.index:
            segment = waiting.pop()
            result.append(line(segment.text, segment))
        result.append(one)
    return result + [line(one.text, one) for one in reversed(waiting)]
