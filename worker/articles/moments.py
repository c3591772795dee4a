"""The moments that a page names: in JSON-LD, metas, `<time>` and in words.

`worker.feeds.dates` reads what people write; here stands what only pages need: whether a time and
a zone were written at all, the zone of the site where none was, and "2 jam yang lalu".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from worker.articles import plain
from worker.feeds import dates

_LONGEST = 100  # characters, as in `dates`
_YEARS = range(1990, 2101)
_AHEAD = timedelta(days=1)  # clocks and zones are wrong by hours, not by days


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment; when `exact` is false only its day was written, and it is that day's midnight.

    `zoned` says whether its zone was written; it is the site's otherwise.
    """

    at: datetime
    exact: bool
    zoned: bool


def read(
    value: object, *, zone: tzinfo | None, language: str | None = None, now: datetime | None = None
) -> Stamp | None:
    """What `value`, a text or seconds since 1970, names; to the minute, in the zone written or
    else in `zone` (UTC without one). None when it names nothing, or a day to come as `now` is.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(int(value)) if abs(value) < 1e14 else ""
    text = plain.line(value, _LONGEST + 1)
    if len(text) < 6 or len(text) > _LONGEST:
        return None
    try:
        stamp = (
            _iso8601(text, zone or UTC)
            or _figures(text, zone or UTC)
            or _relative(text, zone or UTC, now)
            or _written(text, zone or UTC, language)
        )
    except (ValueError, OverflowError):
        return None
    if not stamp or stamp.at.year not in _YEARS or (now and stamp.at > now + _AHEAD):
        return None
    return stamp


def best(stamps: Iterable[Stamp | None]) -> Stamp | None:
    """The first; when that is a day only, the first exact one of the same day."""
    first = None
    for stamp in stamps:
        if stamp is None:
            continue
        if stamp.exact and (first is None or _same_day(first, stamp)):
            return stamp
        first = first or stamp
    return first


def zone_of(host: str, language: str | None) -> tzinfo | None:
    """The zone of a country that has one (or nearly all of its papers in one), by the end of the
    host's name or else by the language that the page declares; None for others.
    """
    ending = host.rstrip(".").rpartition(".")[2].lower()
    tag, _, region = (language or "").replace("_", "-").lower().partition("-")
    region = region.rpartition("-")[2]
    name = _COUNTRIES.get(ending) or _COUNTRIES.get(region) or _LANGUAGES.get(tag)
    return _zone(name) if name else None


def _same_day(day: Stamp, exact: Stamp) -> bool:
    return day.at.date() in {exact.at.date(), exact.at.astimezone(day.at.tzinfo).date()}


_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ]+(\d\d:\d\d(?::\d\d)?)(?:[.,]\d+)?\s*"
    r"(Z|[+-]\d\d(?::?\d\d)?)?(?:\[[\w/]+\])?)?",
    re.ASCII | re.IGNORECASE,
)


def _iso8601(text: str, zone: tzinfo) -> Stamp | None:
    match = _ISO.fullmatch(text)
    if not match:
        return None
    at = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}{(match[3] or '').upper()}")
    exact = bool(match[2]) and at.time() != time()
    return _stamp(at, zone, exact)


_FIGURES = re.compile(r"(20\d\d)(\d\d)(\d\d)(?:T?(\d\d)(\d\d)(?:\d\d)?)?", re.ASCII)


def _figures(text: str, zone: tzinfo) -> Stamp | None:
    match = _FIGURES.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute = (int(one or 0) for one in match.groups())
    return Stamp(datetime(year, month, day, hour, minute, tzinfo=zone), bool(match[4]), zoned=False)


def _stamp(at: datetime, zone: tzinfo, exact: bool) -> Stamp:
    zoned = at.tzinfo is not None
    at = at.replace(second=0, microsecond=0)
    return Stamp(at if zoned else at.replace(tzinfo=zone), exact, zoned)


_UNITS = {
    60: "menit minutes minute mins min minuten minuto minutos dakika минут minut minuti",
    3600: "jam hours hour hrs hr stunden stunde heures heure horas hora ore ora uur saat час часа "
    "часов godzin godziny godzinę",
    86400: "hari days day tagen tag jours jour días día dias dia giorni giorno dagen dag gün",
}  # fmt: skip
_SECONDS = {word: seconds for seconds, words in _UNITS.items() for word in words.split()}
_RELATIVE = re.compile(
    r"(?:(?:vor|hace|il y a|há|sekitar|about)\s+)?(\d{1,3})\s+([^\W\d]{2,10})"
    r"(?:\s+(?:yang\s+lalu|lalu|ago|fa|geleden|önce|назад|temu|atrás))?",
    re.IGNORECASE,
)


def _relative(text: str, zone: tzinfo, now: datetime | None) -> Stamp | None:
    match = _RELATIVE.fullmatch(text) if now else None
    seconds = _SECONDS.get(match[2].lower()) if match else None
    if not (now and match and seconds) or match[0] == f"{match[1]} {match[2]}":
        return None
    at = (now - timedelta(seconds=int(match[1]) * seconds)).astimezone(zone)
    if seconds < 86400:
        return _stamp(at, zone, exact=True)
    return Stamp(datetime.combine(at.date(), time(), zone), exact=False, zoned=True)


def _written(text: str, zone: tzinfo, language: str | None) -> Stamp | None:
    """A date in words or figures, or an epoch.

    The reader answers in UTC whatever was written. What the text left open shows in how the answer
    moves with what is put behind it, since a time and a zone that stand earlier win.
    """
    if text.isdigit():
        at = dates.read(text)
        return _stamp(at.astimezone(zone), zone, exact=True) if at else None
    text = _first(text)
    as_utc = dates.read(f"{text} utc", language)
    if not as_utc:
        return None
    if dates.read(f"{text} 13:17 utc", language) != as_utc:
        midnight = dates.read(f"{text} 00:00 utc", language) or as_utc
        return _stamp(midnight.replace(tzinfo=None), zone, exact=False)
    if dates.read(f"{text} jst", language) == as_utc:
        return _stamp(_in_its_zone(text, as_utc), zone, exact=True)
    return _stamp(as_utc.replace(tzinfo=None), zone, exact=as_utc.time() != time())


_NUMERIC = re.compile(r"(?<!\d)\d{1,2}[./-]\d{1,2}[./-]\d{4}(?!\d)")


def _first(text: str) -> str:
    """`text` up to a second date, whose figures would pass for a time."""
    starts = [match.start() for match in _NUMERIC.finditer(text)]
    return text[: starts[1]] if len(starts) > 1 else text


_INDONESIAN = {"wib": 7, "wita": 8, "wit": 9}
_ZONE = re.compile(r"\b(?:wib|wita|wit)\b", re.IGNORECASE)


def _in_its_zone(text: str, at: datetime) -> datetime:
    """`at` in the zone that an Indonesian text names; others stay in UTC."""
    match = _ZONE.search(text)
    if not match:
        return at
    name = match[0].upper()
    return at.astimezone(timezone(timedelta(hours=_INDONESIAN[name.lower()]), name))


@cache
def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):  # a system without the data
        return None


_COUNTRIES = {
    "ae": "Asia/Dubai", "al": "Europe/Tirane", "am": "Asia/Yerevan", "ar": "America/Buenos_Aires",
    "at": "Europe/Vienna", "az": "Asia/Baku", "ba": "Europe/Sarajevo", "bd": "Asia/Dhaka",
    "be": "Europe/Brussels", "bg": "Europe/Sofia", "bn": "Asia/Brunei", "bo": "America/La_Paz",
    "bw": "Africa/Gaborone", "by": "Europe/Minsk", "ch": "Europe/Zurich", "ci": "Africa/Abidjan",
    "cn": "Asia/Shanghai", "cr": "America/Costa_Rica", "cu": "America/Havana",
    "cy": "Asia/Nicosia", "cz": "Europe/Prague", "de": "Europe/Berlin", "dk": "Europe/Copenhagen",
    "do": "America/Santo_Domingo", "dz": "Africa/Algiers", "ee": "Europe/Tallinn",
    "eg": "Africa/Cairo", "es": "Europe/Madrid", "et": "Africa/Addis_Ababa",
    "fi": "Europe/Helsinki", "fr": "Europe/Paris", "ge": "Asia/Tbilisi", "gh": "Africa/Accra",
    "gr": "Europe/Athens", "gt": "America/Guatemala", "hk": "Asia/Hong_Kong",
    "hr": "Europe/Zagreb", "hu": "Europe/Budapest", "id": "Asia/Jakarta", "ie": "Europe/Dublin",
    "il": "Asia/Jerusalem", "in": "Asia/Kolkata", "iq": "Asia/Baghdad", "ir": "Asia/Tehran",
    "is": "Atlantic/Reykjavik", "it": "Europe/Rome", "jp": "Asia/Tokyo", "ke": "Africa/Nairobi",
    "kh": "Asia/Phnom_Penh", "kr": "Asia/Seoul", "kw": "Asia/Kuwait", "lb": "Asia/Beirut",
    "li": "Europe/Vaduz", "lk": "Asia/Colombo", "ls": "Africa/Maseru", "lt": "Europe/Vilnius",
    "lu": "Europe/Luxembourg", "lv": "Europe/Riga", "ma": "Africa/Casablanca",
    "md": "Europe/Chisinau", "mk": "Europe/Skopje", "mm": "Asia/Yangon", "mt": "Europe/Malta",
    "mw": "Africa/Blantyre", "my": "Asia/Kuala_Lumpur", "mz": "Africa/Maputo",
    "na": "Africa/Windhoek", "ng": "Africa/Lagos", "nl": "Europe/Amsterdam", "no": "Europe/Oslo",
    "np": "Asia/Kathmandu", "nz": "Pacific/Auckland", "pa": "America/Panama", "pe": "America/Lima",
    "ph": "Asia/Manila", "pk": "Asia/Karachi", "pl": "Europe/Warsaw", "pt": "Europe/Lisbon",
    "py": "America/Asuncion", "qa": "Asia/Qatar", "ro": "Europe/Bucharest",
    "rs": "Europe/Belgrade", "ru": "Europe/Moscow", "sa": "Asia/Riyadh", "se": "Europe/Stockholm",
    "sg": "Asia/Singapore", "si": "Europe/Ljubljana", "sk": "Europe/Bratislava",
    "th": "Asia/Bangkok", "tn": "Africa/Tunis", "tr": "Europe/Istanbul", "tw": "Asia/Taipei",
    "tz": "Africa/Dar_es_Salaam", "ua": "Europe/Kyiv", "ug": "Africa/Kampala",
    "uk": "Europe/London", "gb": "Europe/London", "uy": "America/Montevideo",
    "uz": "Asia/Tashkent", "ve": "America/Caracas", "vn": "Asia/Ho_Chi_Minh",
    "za": "Africa/Johannesburg", "zm": "Africa/Lusaka", "zw": "Africa/Harare",
    "co": "America/Bogota", "br": "America/Sao_Paulo", "cl": "America/Santiago",
}  # fmt: skip
# Languages that are written in one zone, or for the most part.
_LANGUAGES = {
    "id": "Asia/Jakarta", "ja": "Asia/Tokyo", "ko": "Asia/Seoul", "tr": "Europe/Istanbul",
    "de": "Europe/Berlin", "it": "Europe/Rome", "pl": "Europe/Warsaw", "cs": "Europe/Prague",
    "sk": "Europe/Bratislava", "hu": "Europe/Budapest", "nl": "Europe/Amsterdam",
    "sv": "Europe/Stockholm", "da": "Europe/Copenhagen", "no": "Europe/Oslo", "nb": "Europe/Oslo",
    "fi": "Europe/Helsinki", "el": "Europe/Athens", "bg": "Europe/Sofia", "he": "Asia/Jerusalem",
    "hi": "Asia/Kolkata", "th": "Asia/Bangkok", "vi": "Asia/Ho_Chi_Minh", "fa": "Asia/Tehran",
    "uk": "Europe/Kyiv", "ro": "Europe/Bucharest", "hr": "Europe/Zagreb", "fr": "Europe/Paris",
}  # fmt: skip
