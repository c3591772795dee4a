"""Names of people out of what pages write beside "author"."""

import re
from collections.abc import Iterable

from worker.articles import plain

_LONGEST = 80  # characters of one name
_MOST = 20
_BY = (
    "by|von|oleh|por|par|door|di|przez|texte de|text von|text|written by|posted by|reporting by|"
    "текст|autor/in|redaktion|penulis|reporter|pewarta|wartawan|laporan wartawan|jurnalis|"
    "kontributor|rep|ditulis oleh|dilaporkan oleh|autor|autorin|autoren|auteur|author|authors|"
    "yazar|muhabir|haber|автор|texto|redactor|journalist|"
    "ein (?:artikel|gastbeitrag|kommentar|interview|essay) von|av|af|story by|words by|"
    "exclusive by|analysis by|opinion by|opinión de|de notre correspondante?"
)
_PREFIX = re.compile(
    rf"(?:(?:{_BY})\s*[:：]\s*|(?:by|von|oleh|por|par|door|di|przez|av|af|written by|posted by|"
    r"ein \w{5,12} von|text von|reporting by|story by|words by|laporan wartawan)\s+)",
    re.IGNORECASE,
)
_SPLIT = re.compile(
    r"\s*[;|/,，、・·]\s+|[;|，、]|\s+(?:and|und|y|et|dan|e|en|i|og|och|ve|dhe|și|и|as well as)\s+|"
    r"\s+[&+]\s+|,(?=\S)",
    re.IGNORECASE,
)
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_HANDLE = re.compile(r"(?<!\w)@\w{1,40}")
_AROUND = re.compile(r"\s*[(\[][^()\[\]]{0,80}[)\]]\s*")
_DASH = re.compile(r"\s+[-–—|]\s+")
_ROLES = re.compile(
    r"(?:[\w.&-]+\s+){0,3}(?:reporter|correspondent|editor(?:-in-chief|ial)?|writer|journalist|"
    r"contributor|columnist|producer|analyst|staff|redakteur(?:in)?|autor(?:in)?|"
    r"korrespondent(?:in)?|chefredakteur(?:in)?|volont[aä]r(?:in)?|wartawan|redaktur|kontributor|"
    r"redactora?|periodista|corresponsal|journaliste|rédact\w+|giornalista|corrispondente)",
    re.IGNORECASE,
)
_LINKING = re.compile(r"[\s,|]+(?:in|on|at|am|um|le|on the|from)\s*$")
_TITLE = re.compile(r"\s*(?:기자|특파원|記者|特派員|记者|본지 기자)$")
_SUFFIXES = frozenset({"jr", "jr.", "sr", "sr.", "ii", "iii", "iv", "md", "m.d.", "phd", "ph.d."})
_ACCOUNTS = re.compile(
    r"\w{0,20}admin(?:istrator)?\d*|web\s?master|root|user\s?\d*|developer|.{0,60}\sdeveloper|"
    r"(?:tim|team)\s.{1,60}\s\d+|redaksi(?:\s.{1,40})?|tim redaksi|editor\d*|author\d*|guest|"
    r"staff|staff (?:writer|reporter)s?|unknown|anonymous|none|null|undefined|n/?a|\d+",
    re.IGNORECASE,
)


def names(value: str) -> tuple[str, ...]:
    """The people that `value` names, in its order, once each: without "By", roles, e-mail
    addresses and handles; () for an address of a page, or an account of the CMS.
    """
    value = plain.line(value, 400)
    if not value or "://" in value or value.startswith(("www.", "/", "@http")):
        return ()
    value = _AROUND.sub(" ", _HANDLE.sub(" ", _MAIL.sub(" ", value))).strip()
    if match := _PREFIX.match(value):
        value = value[match.end() :]
    value = _LINKING.sub("", value)
    found: list[str] = []
    for part in _SPLIT.split(value):
        if part.casefold() in _SUFFIXES and found:
            found[-1] += f", {part}"
        elif (name := _name(part)) and name not in found:
            found.append(name)
    return tuple(found[:_MOST])


def union(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """All names of the groups, each once."""
    seen: dict[str, str] = {}
    for group in groups:
        for name in group:
            seen.setdefault(plain.key(name), name)
    return tuple(seen.values())


def is_account(name: str) -> bool:
    """Whether `name` is a login of the CMS rather than somebody's."""
    return bool(_ACCOUNTS.fullmatch(name))


_JUNK = re.compile(
    r"\b(?:twitter|facebook|whatsapp|instagram|linkedin|share|teilen|follow|folgen|comments?|"
    r"kommentare?|subscribe|published|updated|minutes?|read|menit|lesezeit|mehr|more|views?|"
    r"print|powered|menu|login|home|latest|related|copyright|cookies?)\b|\d",
    re.IGNORECASE,
)


def may_be_shown(name: str) -> bool:
    """Whether a name that was found in the page's text, and not declared, looks like one."""
    return len(name.split()) <= 6 and not _JUNK.search(name)


def _name(part: str) -> str:
    if match := _PREFIX.match(f"{part} "):
        part = part[match.end() :]
    part = _TITLE.sub("", part)
    part = _DASH.split(part, maxsplit=1)[0].strip(" .,:;-–—|/*•")
    if len(part) > _LONGEST or len(part) < 2 or is_account(part):
        return ""
    if _ROLES.fullmatch(part) or not any(c.isalpha() for c in part):
        return ""
    return part
