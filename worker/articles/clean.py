"""Judge the lines of an article's body: what the site wrote around the article is dropped.

A phrase alone drops nothing, it needs a link, a place or a shape beside it: a sentence that begins
with "Baca juga" stays. The phrases are data (`rules`); here is what must stand beside them.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from worker.articles import furniture
from worker.articles.body import Line, fold
from worker.articles.rules import Phrases, Rules, Site
from worker.articles.segments import HEADINGS, Container, Segment, Segments

LEARNED = "learned furniture"

# What a class name says of a block, and up to which length that alone drops it: what is longer
# must be a link as well. None: at any length.
_PLACES: dict[str, int | None] = {
    "site": None, "caption": None, "credit": None, "promo": None, "share": None, "author": None,
    "comments": None, "footer": None, "navigation": None, "aside": None, "box": None, "tags": 90,
    "advert": 90, "related": 200, "button": None, "byline": 90, "embed": 0, "teaser": 0,
    "dialog": None, "rating": 120,
}  # fmt: skip
_NOT_OF_HEADINGS = frozenset(("navigation", "box", "tags"))  # a subhead's own class may say that
_MOST_OF_BODY = 0.35  # what a class name may drop: more is the article, whatever it is called
_NO_LEAD = frozenset(
    (
        "related", "navigation", "promo", "footer", "aside", "comments", "caption", "share",
        "author", "tags", "advert",
    )
)  # fmt: skip
_OF_PAGES = frozenset(("tags", "advert"))  # what a whole page's class may name
_OTHER_LEAD = frozenset(("related", "promo", "caption"))
_SHORTEST_LEAD, _LONGEST_LEAD = 40, 700
_LONGEST_DESCRIBED = 1_500  # the lead's characters where the page's description begins like it
_HEADLINE_ABOVE, _FIRST_ABOVE = 120, 40  # segments from a lead to the body, if nothing names it
_LEAD_BELOW = 12  # segments from the headline
_AGREEMENT = 50  # characters of lead and description that must be the same
_SHORT_TITLE = 20
_LONGEST_TITLE = 500
_KICKER = 50
_AFTER_PROMO = (":", "|", "»", ">", "：", '"')
_AROUND = " :.…!»>→]-–"
_SENTENCE_ENDS = (".", "?", "!", '"', "。")
_MOST_CALLS = 4  # in the middle of a text
_TAIL = 0.1  # of the prose: what has less behind it is at the end
_NOTES = 3  # lines from the end that may be about the author
_OPENING = _ENDING = 8  # lines from the start, from the end
_TAG_END = 40  # characters at a text's end that are looked at
_PARAGRAPHS = frozenset(("p", "div", "section", "article", "blockquote", "center"))
_SHORTEST_LINKED, _LONGEST_LINKED = 40, 200
_LONGEST_LABEL = 30
_NEARLY_ALL, _MAIN_SHAPE = 0.85, 0.2  # of the body's prose
_MOST_OUTSIDE = 0.2  # of the body
_FEW_LINKS = 0.1  # of a text
_DEEPEST = 200  # elements around a segment that are looked at
_DIGITS = re.compile(r"[0-9]{1,20}")
_INITIALS = re.compile(r"\s?[(\[](?:\*|[A-Za-z]{1,4}(?:[/-][A-Za-z0-9]{1,4}){0,4})[)\]]$")
_FUSED = re.compile(r"[A-ZÄÖÜ][a-zäöüß]{1,20}(?:[A-ZÄÖÜ][a-zäöüß]{1,20}){1,4}")  # buttons
_SOCIAL = ("www.", "twitter.com/", "facebook.com/", "instagram.com/", "t.me/", "wa.me/")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page, and the rule that kept or dropped it."""

    text: str
    kept: bool
    rule: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a page beside its body: all that its headline may be, what it says of
    itself, who wrote it, and the keys (`furniture.key`) of blocks that its site repeats.
    """

    titles: tuple[str, ...] = ()
    description: str = ""
    authors: tuple[str, ...] = ()
    repeated: Collection[str] = frozenset()


@dataclass(slots=True)
class _Case:
    """A body before the judge."""

    lines: list[Line]
    page: Segments
    facts: Facts
    phrases: Mapping[str, Phrases]
    site: Site

    def measure(self) -> None:
        """Count the prose before and behind each line."""
        sizes = [len(one.text) if one.is_prose and not one.rule else 0 for one in self.lines]
        total, before = sum(sizes), 0
        for one, size in zip(self.lines, sizes, strict=True):
            one.before = before
            before += size
            one.after = total - before

    def kept(self) -> list[Line]:
        return [one for one in self.lines if not one.rule]

    def size(self) -> int:
        return sum(len(one.text) for one in self.lines if not one.rule)


def judge(
    lines: list[Line], page: Segments, facts: Facts, rules: Rules, site: Site,
    off: Collection[str] = (),
) -> str | None:  # fmt: skip
    """Give each line that is no part of the text the name of the rule that says so.

    The lead is one of these: it is returned. `off` names rules to leave out, to measure what they
    are worth.
    """
    case = _Case(lines, page, facts, rules.phrases, site)
    case.measure()
    lead = _lead(case) if "lead" not in off else None
    for name, rule, moves_prose in _RULES:
        if name not in off:
            rule(case)
            if moves_prose:
                case.measure()
    _restore(case)
    return lead


def _drop(line: Line, rule: str) -> None:
    line.rule = line.rule or rule


# -- The lead


def _lead(case: _Case) -> str | None:
    """The standfirst: above the body and outside of what holds it. It is named so, or is what the
    page's description says, or it is the first paragraph below the headline.
    """
    prose = [one for one in case.lines if one.segment and one.is_prose]
    if len(prose) < 2 or prose[0].segment is None:
        return None
    first = prose[0].segment
    homes = {id(one.segment.container) for one in prose[1:] if one.segment}
    is_apart = id(first.container) not in homes or first.element in HEADINGS
    if is_apart and len(first.text) <= _LONGEST_LEAD and _says_lead(first, case.facts):
        prose[0].rule = "lead"
        return prose[0].text
    found = _above(first.index, case)
    for one in case.lines:
        if one.segment in found:
            one.rule = "lead"
    return " ".join(one.text for one in found) or None


def _above(index: int, case: _Case) -> list[Segment]:
    """The lead among the segments between the headline and the one with that index; of several
    subtitles all.
    """
    start = _below_headline(index, case)
    first = None
    for one in case.page.all[start or max(0, index - _LEAD_BELOW) : index]:
        if not _may_be_lead(one, case.facts):
            continue
        if _says_lead(one, case.facts):
            return [one, *_more(one, index, case)]
        is_near = one.index - start < _LEAD_BELOW and index - one.index < _FIRST_ABOVE
        if first is None and start and one.is_prose and is_near:
            first = one
    return [first] if first else []


def _more(lead: Segment, end: int, case: _Case) -> Iterator[Segment]:
    """The subtitles right below the first."""
    size = len(lead.text)
    for one in case.page.all[lead.index + 1 : end]:
        size += len(one.text)
        if one.container is not lead.container or not _is_named_lead(one) or one.links:
            return
        if size > _LONGEST_LEAD or not one.is_prose:
            return
        yield one


def _below_headline(index: int, case: _Case) -> int:
    """The index of the segment behind the headline that stands above `index`; 0 without one."""
    titles = {bare_key(title) for title in set(case.facts.titles)}
    for one in reversed(case.page.all[max(0, index - _HEADLINE_ABOVE) : index]):
        if one.element == "h1" or (one.element in HEADINGS and bare_key(one.text) in titles):
            return one.index + 1
    return 0


def _may_be_lead(one: Segment, facts: Facts) -> bool:
    size = len(one.text)
    if not _SHORTEST_LEAD <= size <= _LONGEST_DESCRIBED or one.links > 0.3 * size:
        return False
    is_described = agrees(one.text, facts.description)
    if size > _LONGEST_LEAD and not is_described:
        return False
    no_lead = one.hints & _NO_LEAD - (_OF_PAGES if is_described else set())
    return one.element != "h1" and (_is_named_lead(one) or not no_lead)


def bare_key(text: str) -> str:
    """`text` without case, white space and punctuation, to compare headlines by."""
    return "".join(filter(str.isalnum, text.casefold()))


def _says_lead(one: Segment, facts: Facts) -> bool:
    return _is_named_lead(one) or agrees(one.text, facts.description)


def _is_named_lead(one: Segment) -> bool:
    if "lead" not in one.hints:
        return False
    nearest = one.marks[-1].hints
    return "lead" in nearest and not nearest & _OTHER_LEAD


def agrees(text: str, description: str) -> bool:
    """Whether both begin with the same words."""
    start, said = (bare_key(one[: 3 * _AGREEMENT])[:_AGREEMENT] for one in (text, description))
    if min(len(start), len(said)) < _AGREEMENT // 2:
        return False
    return start.startswith(said) or said.startswith(start)


# -- Around the text, whatever the words


def _headline(case: _Case) -> None:
    keys = {found for title in set(case.facts.titles) if (found := bare_key(title))}
    long = [one for one in keys if len(one) >= _SHORT_TITLE]
    for seen, line in enumerate(case.kept()):
        if line.before > 0 or seen > _OPENING:
            break
        own = bare_key(line.text) if len(line.text) <= _LONGEST_TITLE else ""
        is_first = line.element == "h1" and line.exact and len(line.text) <= 300
        if own in keys or is_first or any(_holds(own, title) for title in long):
            _drop(line, "headline")


def _holds(own: str, title: str) -> bool:
    """The headline with a kicker above it, or the site's name behind it."""
    return len(own) <= len(title) + _KICKER and title in own


def _shortcode(case: _Case) -> None:
    """`[button link="…"]`, `[Gambas:Video 20detik]`: what the publisher's software left there."""
    for line in case.kept():
        text = line.text
        is_tag = "=" in text[:60] or "[/" in text or _is_tag(text)
        if (text[0] == "[" and "]" in text and is_tag) or (text[:2] == "$$" == text[-2:]):
            _drop(line, "shortcode")


def _is_tag(text: str) -> bool:
    return text[-1] == "]" and ":" in text[:20] and len(text) <= 80


def _site(case: _Case) -> None:
    for line in case.kept():
        if case.site.drop.begin(line.bare):
            _drop(line, "site")


def _learned(case: _Case) -> None:
    """What the site has in several articles; never more than half of one."""
    if not case.facts.repeated:
        return
    kept = case.kept()
    found = {
        index: line
        for index, line in enumerate(kept)
        if furniture.key(line.text) in case.facts.repeated
    }
    if sum(len(line.text) for line in found.values()) > 0.5 * case.size():
        return
    for index, line in found.items():
        following = kept[index + 1] if index + 1 < len(kept) else None
        # "Why it matters", with another text below it each time, is no furniture.
        is_of_text = line.is_heading and following and following.is_prose
        if not is_of_text or index + 1 in found:
            _drop(line, LEARNED)


def _restore(case: _Case) -> None:
    """More than half of what the other rules left was an article's text."""
    dropped = [line for line in case.lines if line.rule == LEARNED]
    if sum(len(line.text) for line in dropped) > case.size():
        for line in dropped:
            line.rule = ""


def _place(case: _Case) -> None:
    """What stands in an element that is called caption, newsletter, author box, …"""
    total = sum(len(line.text) for line in case.lines)
    above = {one for one, following in pairwise(case.lines) if _is_above(one, following)}
    for name, longest in _PLACES.items():
        inside = [line for line in case.lines if not line.rule and name in line.hints]
        if sum(len(line.text) for line in inside) > _MOST_OF_BODY * total:
            continue
        for line in inside:
            if name in _NOT_OF_HEADINGS and line in above:
                continue
            if longest is None or len(line.text) <= longest or line.links > 0.5:
                _drop(line, f"in {name}")


def _is_above(line: Line, following: Line) -> bool:
    """Whether it is the heading of a paragraph that has not its hints."""
    return line.element in HEADINGS and following.is_prose and not line.hints & following.hints


def _outside(case: _Case) -> None:
    """What stands at the end, beside the element that holds nearly all of the text; never much."""
    prose = [(one.segment, len(one.text)) for one in case.kept() if one.segment and one.is_prose]
    total = sum(size for _, size in prose)
    home = _home(prose, total)
    shapes: dict[tuple[str, ...], int] = {}
    for one, size in prose:
        shapes[one.container.shape] = shapes.get(one.container.shape, 0) + size
    found = []
    for line in reversed(case.kept()):
        if line.segment is None:
            continue
        place = line.segment.container
        if line.before <= 0.5 * total or any(one is home for one in _around(place)):
            break
        if home and place.parent is home.parent and line.is_prose and line.links < _FEW_LINKS:
            break  # an advertisement makes two of an article
        if shapes.get(place.shape, 0) < _MAIN_SHAPE * total:
            found.append(line)
    if sum(len(line.text) for line in found) <= _MOST_OUTSIDE * case.size():
        for line in found:
            _drop(line, "outside")


def _home(prose: Iterable[tuple[Segment, int]], total: int) -> Container | None:
    """The innermost element that holds nearly all of the prose."""
    sizes: dict[Container, int] = {}
    depths: dict[Container, int] = {}
    for segment, size in prose:
        around = list(_around(segment.container))
        for depth, one in enumerate(reversed(around)):
            sizes[one] = sizes.get(one, 0) + size
            depths[one] = depth
    holding = (one for one, size in sizes.items() if size >= _NEARLY_ALL * total)
    return max(holding, key=depths.__getitem__, default=None)


def _around(container: Container) -> Iterator[Container]:
    one: Container | None = container
    for _ in range(_DEEPEST):
        if one is None:
            return
        yield one
        one = one.parent


def _next_article(case: _Case) -> None:
    """Another article with a headline of its own, which scrolling would have brought."""
    prose = [line.segment for line in case.lines if line.segment and line.is_prose]
    if not prose or not prose[0].article:
        return
    first = prose[0].article
    titled = {one.article for one in case.page.all if one.element == "h1"}
    for line in case.kept():
        number = line.segment.article if line.segment else 0
        if number > first and number in titled:
            _drop(line, "next article")


def _linked_line(case: _Case) -> None:
    """A paragraph that is nothing but a link into the same site."""
    headings = []
    for index, line in enumerate(case.lines):
        if line.rule or len(line.text) <= 15:
            continue
        if line.own < 0.9:
            if _is_linked_title(line):
                _drop(line, "linked line")
        elif line.element in HEADINGS:
            following = case.lines[index + 1 : index + 2]
            headings.append((line, any(one.is_prose for one in following)))
        else:
            _drop(line, "linked line")
    # An article that lists things has many linked headings, each with its text below.
    if sum(has_text for _, has_text in headings) < 3:
        for line, _ in headings:
            _drop(line, "linked line")


def _is_linked_title(line: Line) -> bool:
    """A link behind a label or within other bold words: "<b>Hintergrund: <a>…</a></b>"."""
    one, size = line.segment, len(line.text)
    if one is None or size > _LONGEST_LINKED or line.element not in _PARAGRAPHS:
        return False
    is_bold = one.strong >= 0.9 * size
    if line.own >= 0.4 and is_bold:
        return True
    label = _label(line.text)
    if not label or abs(size - label - one.links) > 3:
        return False
    return line.own >= 0.4 or (is_bold and one.links >= _SHORTEST_LINKED)


def _label(text: str) -> int:
    """How long a label is that `text` begins with, its colon and a blank included; 0 for none."""
    at = text[:_LONGEST_LABEL].replace("：", ":").find(":")
    return at + 2 if at > 0 else 0


def _linked_list(case: _Case) -> None:
    run: list[Line] = []
    for line in case.lines:
        is_item = line.element == "li" or line.text[0] == "-"
        if is_item and line.own >= 0.5 and not line.rule:
            run.append(line)
        else:
            _drop_list(run)
            run = []
    _drop_list(run)


def _drop_list(run: list[Line]) -> None:
    if len(run) >= 2:
        for line in run:
            _drop(line, "linked list")


# -- By words and shape


def _furniture(case: _Case) -> None:
    """Lines that are a button's label and nothing else."""
    for line in case.kept():
        if line.bare.rstrip(_AROUND) in case.phrases["furniture"].all or _is_paging(line, case):
            _drop(line, "furniture")


def _is_paging(line: Line, case: _Case) -> bool:
    size = case.phrases["paging"].begin(line.bare) if len(line.text) <= 40 else 0
    return size > 0 and line.bare[size:].lstrip(" :")[:1].isdigit()


def _promotion(case: _Case) -> None:
    """ "Baca juga: …", or that and no more above linked lines."""
    for index, line in enumerate(case.lines):
        size = case.phrases["promo"].begin(line.bare) if not line.rule else 0
        if not size:
            continue
        rest = line.bare[size:].lstrip(" ]")
        is_label = rest.startswith(_AFTER_PROMO) or line.bare[size - 1] == ":"
        is_title = line.links > 0 or (len(line.text) <= 200 and line.text[-1] != ".")
        if (
            (is_label and is_title and len(line.text) <= 300)
            or line.own >= 0.5
            or line.links >= 0.6
        ):
            _drop(line, "promotion")
        elif not rest.strip(" .:…!?»>"):
            _drop(line, "promotion")
            _drop_linked(case.lines[index + 1 : index + 6], "promotion")


def _drop_linked(lines: Iterable[Line], rule: str) -> None:
    for line in lines:
        if line.links < 0.6:
            break
        _drop(line, rule)


def _tail(case: _Case) -> None:
    """ "Related articles" and the links below it; at the end all that is below it."""
    total, seen = case.size(), 0
    paragraphs = sum(line.is_prose for line in case.kept())  # that are still to come
    for index, line in enumerate(case.lines):
        if line.rule:
            continue
        paragraphs -= line.is_prose
        if _is_heading_of_links(line, case.phrases["related"]):
            if seen > 0.5 * total and paragraphs < 2:
                for one in case.lines[index:]:
                    _drop(one, "tail")
                return
            following = case.lines[index + 1 : index + 8]
            has_links = bool(following) and (following[0].links >= 0.6 or bool(following[0].rule))
            if has_links and (line.is_heading or line.links >= 0.5):
                _drop(line, "related")
                _drop_linked(following, "related")
        seen += len(line.text)


def _is_heading_of_links(line: Line, related: Phrases) -> bool:
    words = line.bare.rstrip(_AROUND)
    if words in related.all:
        return True
    if len(words) > 70 or not (line.element in HEADINGS or line.text[-1] == ":"):
        return False
    return " " in words[: related.begin(words)]


def _boilerplate(case: _Case) -> None:
    """ "About the company" at the end of a press release, and what follows."""
    total, seen = case.size(), 0
    about = case.phrases["about"]
    for index, line in enumerate(case.lines):
        if line.rule:
            continue
        is_short = len(line.text) <= 60 and line.bare[-1] not in _SENTENCE_ENDS
        if seen > 0.5 * total and is_short and line.is_heading and about.begin(line.bare):
            for one in case.lines[index:]:
                _drop(one, "boilerplate")
            return
        seen += len(line.text)


def _credit(case: _Case) -> None:
    credits_, figures = case.phrases["credit"], case.phrases["figure"]
    for line in case.kept():
        if len(line.text) > 200:
            continue
        if _is_caption(line, credits_):
            _drop(line, "caption")
            continue
        size = figures.begin(line.bare)
        number = line.bare[size : size + 8].lstrip(" .")
        if size and number[:1].isdigit() and ":" in number:
            _drop(line, "caption")
        elif (size := credits_.begin(line.bare)) and _names_owner(line.bare, size):
            _drop(line, "credit")


def _is_caption(line: Line, credits_: Phrases) -> bool:
    """All in italics, and with a credit at its end: "… di Semarang. Foto: Dok. PDAM"."""
    one = line.segment
    if one is None or one.strong < 0.8 * len(line.text) or ":" not in line.bare:
        return False
    words = line.bare.rpartition(":")[0].split()
    return any(" ".join(words[-size:]).lstrip("(") in credits_.all for size in (1, 2))


def _names_owner(bare: str, size: int) -> bool:
    """Whether a name follows: "Foto: X/dpa", "© X"."""
    rest = bare[size:].lstrip()
    words = len(rest.split())
    if bare[size - 1] == ":" or rest.startswith((":", "/", "：", "|", "／", "©", "=")):
        return words <= 12
    return bare[0] == "©" and words <= 6 and bare[-1] not in _SENTENCE_ENDS


def _opening(case: _Case) -> None:
    """Date, byline and reading time above the text."""
    authors = {fold(name) for name in case.facts.authors}
    for line in case.lines[:_OPENING]:
        if line.before > 0:
            break
        if line.rule or len(line.text) > 80:
            continue
        if line.bare in authors or _is_opening(line, case.phrases):
            _drop(line, "opening")


def _is_opening(line: Line, phrases: Mapping[str, Phrases]) -> bool:
    bare = line.bare
    if any(map(str.isdigit, bare)) and (
        phrases["date"].begin(bare) or phrases["reading"].within(bare)
    ):
        return True
    if bare[-1] in _SENTENCE_ENDS:
        return False
    if line.links >= 0.6 and _FUSED.fullmatch(line.text):
        return True
    return _is_date(line) or bool(phrases["byline"].begin(bare) and len(bare.split()) <= 9)


def _is_date(line: Line) -> bool:
    numbers = _DIGITS.findall(line.text)
    return (
        len(line.text) <= 80
        and len(numbers) >= 2
        and any(len(one) == 4 and one[:2] in {"19", "20"} for one in numbers)
        and len(line.text.split()) <= 10
        and line.text[-1] not in _SENTENCE_ENDS
    )


def _call(case: _Case) -> None:
    """Calls to subscribe, follow, comment, install: linked, short or at the end."""
    found = [line for line in case.kept() if _is_call(line, case.phrases)]
    within = {line for line in found if line.before and not _is_last(line)}
    is_about_them = len(within) > _MOST_CALLS  # a list of offers
    for line in found:
        if not (is_about_them and line in within):
            _drop(line, "call to action")


def _is_last(line: Line) -> bool:
    return line.after <= _TAIL * (line.before + line.after)


def _is_call(line: Line, phrases: Mapping[str, Phrases]) -> bool:
    size, is_last = len(line.text), _is_last(line)
    if size > 400:
        return False
    if phrases["cta"].begin(line.bare):
        is_question = line.bare[-1] == "?"
        is_label = size <= 60 and line.bare[-1] not in _SENTENCE_ENDS
        ends = is_last and size <= 250 and (not is_question or line.after == 0)
        if line.links >= (0.25 if size <= 250 else 0.5) or ends or is_label:
            return True
    if line.links >= 0.1 or is_last or size <= 120:
        return phrases["cta_in"].within(line.bare)
    return False


def _ending(case: _Case) -> None:
    """Copyright, sources, editors, authors' notes and addresses behind the last paragraph."""
    authors = tuple(fold(name) for name in case.facts.authors if " " in name)
    for line in case.kept()[: -_ENDING - 1 : -1]:
        if line.before > 0 and _is_ending(line, case.phrases):
            _drop(line, "ending")
    for line in case.kept()[: -_NOTES - 1 : -1]:
        if line.before > line.after and (_is_note(line, authors) or _is_signature(line)):
            _drop(line, "author's note")


def _is_note(line: Line, authors: tuple[str, ...]) -> bool:
    """ "Jane Doe is a reporter in …", and nothing but the name."""
    return len(line.text) <= 700 and bool(authors) and line.bare.startswith(authors)


def _is_signature(line: Line) -> bool:
    """ "dpa", "aja/PAP": short, without a sentence's end, behind the last paragraph."""
    text = line.text
    return (
        line.after == 0
        and line.element in {"p", "div"}
        and len(text) <= 15
        and len(text.split()) <= 2
        and text[-1] not in _SENTENCE_ENDS
        and ("/" in text or text.isupper() or text.islower())
    )


def _is_ending(line: Line, phrases: Mapping[str, Phrases]) -> bool:
    bare, size = line.bare, len(line.text)
    if size <= 350 and (phrases["footer"].begin(bare) or phrases["bio"].begin(bare)):
        return True
    if line.text[0] in "(（" and size <= 300:
        return size <= 40 if line.text[-1] in ")）" else bool(phrases["byline"].begin(bare))
    if size <= 120 and (_is_address(bare) or _is_credit_line(bare, phrases)):
        return True
    # A tweet ends with its date, and so do rows of a table.
    is_other = line.text[0] in "—–-" or "embed" in line.hints or " | " in line.text
    return size <= 40 and not is_other and _is_date(line)


def _is_credit_line(bare: str, phrases: Mapping[str, Phrases]) -> bool:
    """ "Editor: X", "Sumber: Y", "Updated at 1:23 p.m."."""
    for kind in ("source", "byline", "date"):
        size = phrases[kind].begin(bare)
        if not size:
            continue
        words = len(bare.split())
        if bare[size - 1] == ":" or bare[size:].lstrip().startswith((":", "：", "/", "|")):
            return True
        if kind == "byline" and words <= 6 and bare[-1] not in _SENTENCE_ENDS:
            return True
        if kind == "date" and words <= 7 and any(map(str.isdigit, bare)):
            return True
    return False


def _is_address(bare: str) -> bool:
    at = bare.find("@")
    if 0 < at < len(bare) - 1 and bare[at - 1].isalnum() and bare[at + 1].isalnum():
        return True
    return bare.startswith(_SOCIAL)


def without_mark(text: str) -> str:
    """A last paragraph without the initials or stars behind it: "… kata dia. (ams/sip)", "***"."""
    start, end = text[:-_TAG_END], text[-_TAG_END:].rstrip("* ")
    if match := _INITIALS.search(end):
        before = end[: match.start()].rstrip()
        if before.endswith((".", "!", "?", "”", '"')):
            end = before
    return (start + end) or text


# The name of each rule, and whether what it drops may be prose, on whose place others depend.
_RULES: tuple[tuple[str, Callable[[_Case], None], bool], ...] = (
    ("headline", _headline, False),
    ("shortcode", _shortcode, False),
    ("site", _site, True),
    (LEARNED, _learned, True),
    ("next article", _next_article, True),
    ("place", _place, True),
    ("outside", _outside, True),
    ("furniture", _furniture, False),
    ("credit", _credit, False),
    ("promotion", _promotion, False),
    ("linked line", _linked_line, False),
    ("linked list", _linked_list, True),
    ("tail", _tail, True),
    ("boilerplate", _boilerplate, True),
    ("opening", _opening, False),
    ("call to action", _call, False),
    ("ending", _ending, False),
)
