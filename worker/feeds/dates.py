"""Read the dates that feeds write: RFC 822, ISO 8601, epochs, and what people write for people.

One reader for all of them: feedparser's would take `2022年1月22日` for a day of the present month,
since it reads only as far as it understands.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone

_LONGEST = 100  # characters; nobody writes a date that long
_YEARS = range(1990, 2101)  # before the first feed, or of a clock that was never set
_FURTHEST_ZONE = timedelta(hours=14)
_WIB = timezone(timedelta(hours=7), "WIB")


def read(text: str, language: str | None = None) -> datetime | None:
    """The second that `text` names, in UTC; None when it names none, or none from 1990 to 2100.

    `language` is the BCP 47 tag of what it stands in. A zone that is written counts. Without one
    the time is UTC, but WIB (UTC+7) where an Indonesian writes the month in words. Day and month
    in figures are taken in the order of the language, and not at all where that is unknown.
    """
    text = text.strip()
    if not text or len(text) > _LONGEST:
        return None
    try:
        found = _rfc822(text) or _epoch(text) or _iso8601(text) or _written(text, language)
        if not found or found.year not in _YEARS:
            return None
        return found.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):  # such as the 31st of February
        return None


_RFC822 = re.compile(
    r"(?:[a-z]{3,9},?\s+)?(\d{1,2})\s+([a-z]{3})\s+(\d{4})\s+(\d{1,2}):(\d\d)(?::(\d\d))?\s+"
    r"(?:gmt|utc?|z|([+-]\d\d):?(\d\d))",
    re.IGNORECASE | re.ASCII,
)
_ENGLISH = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def _rfc822(text: str) -> datetime | None:
    # What most feeds write, and the general way takes four times as long.
    match = _RFC822.fullmatch(text)
    if not match or match[2].lower() not in _ENGLISH:
        return None
    day = date(int(match[3]), _ENGLISH.index(match[2].lower()) + 1, int(match[1]))
    return datetime.combine(day, _time(match[4], match[5], match[6]), _offset(match[7], match[8]))


def _epoch(text: str) -> datetime | None:
    if not (text.isascii() and text.isdigit() and len(text) in {9, 10, 13}):
        return None
    seconds = int(text) / 1000 if len(text) == 13 else int(text)
    return datetime.fromtimestamp(seconds, UTC)


def _iso8601(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_DAY = r"(?<!\d)(\d{1,2})(?:(?:st|nd|rd|th|er|[oa])\b|[.°])?"
_NAME = r"([^\W\d_]+(?:\s[^\W\d_]+)?)"
_YEAR = r"(\d{4}|\d{2})(?!\d)"
_GAP = r"[\s\-/.,|']*"
_OF = r"(?:(?:de|del|of|nam)\s+)?"
_YMD = re.compile(
    r"(?<!\d)(\d{4})\s*[-/.年년]\s*(\d{1,2})\s*[-/.月월]\s*(\d{1,2})(?!\d)\s*[日일]?", re.ASCII
)
_DAY_NAME_YEAR = re.compile(_DAY + _GAP + _OF + _NAME + _GAP + _OF + _YEAR)
_VIETNAMESE = re.compile(_DAY + r"[\s\-/.,]*(?:thang|thg)\s*(\d{1,2})" + _GAP + _OF + _YEAR)
_NAME_DAY_YEAR = re.compile(_NAME + r"[\s\-.]+" + _DAY + r"(?!\d)[\s,\-]+" + r"(\d{4})(?!\d)")
_ASCTIME = re.compile(_NAME + r"\s+" + _DAY + r"\s+(\d\d?:\d\d.*?)\s(\d{4})(?!\d)")
_YEAR_NAME_DAY = re.compile(r"(?<!\d)(\d{4})[\s\-.,]+" + _NAME + r"[\s\-.]+(\d{1,2})(?!\d)")
_FIGURES = re.compile(r"(?<!\d)(\d{1,2})\s*([-/.])\s*(\d{1,2})\s*\2\s*(\d{4}|\d{2})(?!\d)")


def _written(text: str, language: str | None) -> datetime | None:
    """A date as people write it, with or without a time, in one of the languages below."""
    text = _fold(text)
    for day, rest, in_words in _days(text, language):
        clock, zone = _clock(rest)
        if zone is None:
            zone = _WIB if in_words and _is_indonesian(text, language) else UTC
        return datetime.combine(day, clock, zone)
    return None


def _fold(text: str) -> str:
    """Lower case without accents, in ASCII digits: `Şubat` and `subat` are one word."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(
        str(unicodedata.decimal(c)) if c.isdecimal() else c
        for c in plain
        if not unicodedata.combining(c)
    )
    # NFKD took Korean letters apart.
    return unicodedata.normalize("NFC", plain).replace("ı", "i").replace("−", "-")


def _days(text: str, language: str | None) -> Iterator[tuple[date, str, bool]]:
    """The days that `text` may name, likeliest first: each with the text around it, and whether
    its month is a word.
    """
    if match := _YMD.search(text):
        yield date(int(match[1]), int(match[2]), int(match[3])), _around(match), False
    if match := _VIETNAMESE.search(text):
        yield date(_year(match[3]), int(match[2]), int(match[1])), _around(match), True
    for pattern, (year, month, day) in (
        (_DAY_NAME_YEAR, (3, 2, 1)),
        (_NAME_DAY_YEAR, (3, 1, 2)),
        (_ASCTIME, (4, 1, 2)),
        (_YEAR_NAME_DAY, (1, 2, 3)),
    ):
        for match in _overlapping(pattern, text):
            if number := _month(match[month]):
                rest = match[3] if pattern is _ASCTIME else _around(match)
                yield date(_year(match[year]), number, int(match[day])), rest, True
    match = _FIGURES.search(text)
    if match and (found := _in_figures(match, language)):
        yield found, _around(match), False


def _overlapping(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    # In `16.57 WIB, 22 Jan 2022` the 22 is a day, although it could be the year of the 57th.
    start = 0
    while match := pattern.search(text, start):
        yield match
        start = match.start() + 1


def _around(match: re.Match[str]) -> str:
    return f"{match.string[: match.start()]} | {match.string[match.end() :]}"


def _year(figures: str) -> int:
    year = int(figures)
    if len(figures) > 2:
        return year
    return year + (2000 if year < 70 else 1900)


def _month(words: str) -> int | None:
    # Two words may be one name; otherwise the second is `de`, or the first a day's.
    first, _, second = words.partition(" ")
    return _MONTHS.get(words) or _MONTHS.get(first) or _MONTHS.get(second)


def _in_figures(match: re.Match[str], language: str | None) -> date | None:
    first, second, year = int(match[1]), int(match[3]), match[4]
    if match[2] == "-" and len(year) == 2:
        return None  # any of the three may be the year
    tag = (language or "").lower().replace("_", "-")
    if first <= 12 and second <= 12 and first != second and (not tag or tag == "en"):
        return None
    american = second > 12 or (first <= 12 and tag == "en-us")
    return date(_year(year), *((first, second) if american else (second, first)))


_CLOCK = re.compile(
    r"(?<![\d:.])(\d{1,2})\s?[:.h時时点點시]\s?(\d\d)(?!\d)"
    r"(?:\s?[:.분分]\s?(\d\d)(?!\d)(?:[.,]\d+)?)?",
    re.ASCII,
)
_HOUR = re.compile(
    r"(?<![\d:.])(\d{1,2})\s?(?:h(?!\w)|[時时点點시](?!\w)|(?=[ap]\.?\s?m\b))", re.ASCII
)
_AFTERNOON = re.compile(r"(?<![^\W\d])p\.?\s?m\b|下午|午後|오후|晚上|\bم\b|μ\.?μ\b")
_MORNING = re.compile(r"(?<![^\W\d])a\.?\s?m\b|上午|午前|오전|\bص\b|π\.?μ\b")
_OFFSET = re.compile(r"(?:^|[^\d.])([+-]\d{1,2})(?::?(\d\d))?(?!\d)", re.ASCII)
_WORD = re.compile(r"[^\W\d_]+")


def _clock(rest: str) -> tuple[time, timezone | None]:
    """The time in the text around a date, midnight if there is none, and the zone it is in."""
    match = _CLOCK.search(rest)
    hour = match or _HOUR.search(rest)
    if not hour:
        return time(), None
    minute, second = (match[2], match[3]) if match else ("0", None)
    shift = 0
    if int(hour[1]) < 12 and _AFTERNOON.search(rest):
        shift = 12
    elif int(hour[1]) == 12 and _MORNING.search(rest):
        shift = -12
    return _time(str(int(hour[1]) + shift), minute, second), _zone(rest, hour.end())


def _time(hour: str, minute: str, second: str | None) -> time:
    return time(int(hour), int(minute), min(int(second or 0), 59))  # 60 is a leap second


def _zone(rest: str, start: int) -> timezone | None:
    after = rest[start:].strip()
    if after.startswith("z"):
        return UTC
    if (match := _OFFSET.search(after)) and (zone := _offset(match[1], match[2])):
        return zone
    for word in _WORD.findall(rest):
        if word in _ZONES:
            return timezone(timedelta(hours=_ZONES[word]))
    return None


def _offset(hours: str | None, minutes: str | None) -> timezone:
    if not hours:
        return UTC
    size = timedelta(hours=abs(int(hours)), minutes=int(minutes or 0))
    if size > _FURTHEST_ZONE:
        raise ValueError("no zone is that far from Greenwich")
    return timezone(-size if hours.startswith("-") else size)


def _is_indonesian(text: str, language: str | None) -> bool:
    primary = (language or "").lower().replace("_", "-").partition("-")[0]
    return primary in {"id", "in"} or not _ONLY_INDONESIAN.isdisjoint(_WORD.findall(text))


# Names of one month stand between slashes; they are folded below, so accents may be left out.
_NAMES = {
    "en": """january/jan february/feb march/mar april/apr may june/jun july/jul august/aug
        september/sep/sept october/oct november/nov december/dec""",
    "id": """januari/jan februari/feb/pebruari/peb maret/mar april/apr mei juni/jun juli/jul
        agustus/agt/ags/agu/agust september/sep/sept oktober/okt november/nov/nopember/nop
        desember/des""",
    "ms": """januari februari mac april mei jun julai ogos/ogo september oktober november
        disember/dis""",
    "es": """enero/ene febrero/feb marzo/mar abril/abr mayo/may junio/jun julio/jul agosto/ago
        septiembre/setiembre/sep/set octubre/oct noviembre/nov diciembre/dic""",
    "pt": """janeiro/jan fevereiro/fev março/mar abril/abr maio/mai junho/jun julho/jul agosto/ago
        setembro/set outubro/out novembro/nov dezembro/dez""",
    "fr": """janvier/janv/jan février/févr/fév mars avril/avr mai juin juillet/juil août septembre
        octobre novembre décembre/déc""",
    "de": """januar/jänner/jän februar märz/maerz/mär/mrz april mai juni juli august september
        oktober/okt november dezember/dez""",
    "it": """gennaio/gen febbraio/feb marzo aprile maggio/mag giugno/giu luglio/lug agosto
        settembre/sett/set ottobre/ott novembre dicembre/dic""",
    "nl": """januari februari maart/mrt april mei juni juli augustus september oktober/okt november
        december""",
    "pl": """stycznia/styczeń/sty lutego/luty/lut marca/marzec kwietnia/kwiecień/kwi maja/maj
        czerwca/czerwiec/cze lipca/lipiec/lip sierpnia/sierpień/sie września/wrzesień/wrz
        października/październik/paź listopada/listopad/lis grudnia/grudzień/gru""",
    "tr": """ocak/oca şubat/şub mart nisan/nis mayıs haziran/haz temmuz/tem ağustos/ağu eylül/eyl
        ekim/eki kasım/kas aralık/ara""",
    "ru": """января/январь/янв февраля/февраль/февр/фев марта/март/мар апреля/апрель/апр мая/май
        июня/июнь/июн июля/июль/июл августа/август/авг сентября/сентябрь/сент/сен
        октября/октябрь/окт ноября/ноябрь/нояб/ноя декабря/декабрь/дек""",
    "ar": """يناير/كانون_الثاني/جانفي فبراير/شباط/فيفري مارس/آذار أبريل/نيسان/أفريل مايو/أيار/ماي
        يونيو/حزيران/جوان يوليو/تموز/جويلية/يوليوز أغسطس/آب/أوت/غشت سبتمبر/أيلول/شتنبر
        أكتوبر/تشرين_الأول نوفمبر/تشرين_الثاني/نونبر ديسمبر/كانون_الأول/دجنبر""",
    "el": """ιανουαρίου/ιαν φεβρουαρίου/φεβ μαρτίου/μαρ απριλίου/απρ μαΐου/μάιος/μαϊ ιουνίου/ιουν
        ιουλίου/ιουλ αυγούστου/αυγ σεπτεμβρίου/σεπ οκτωβρίου/οκτ νοεμβρίου/νοε δεκεμβρίου/δεκ""",
    "hu": """január február/febr március/márc április/ápr május/máj június/jún július/júl
        augusztus szeptember/szept október/okt november december""",
}  # fmt: skip
_INDONESIAN_DAYS = {"senin", "kamis", "jumat", "jum", "minggu"}  # those that Malay has not


def _months(names: str) -> dict[str, int]:
    return {
        _fold(name).replace("_", " "): number
        for number, group in enumerate(names.split(), 1)
        for name in group.split("/")
    }


_MONTHS = {name: number for names in _NAMES.values() for name, number in _months(names).items()}
_ONLY_INDONESIAN = _INDONESIAN_DAYS | set(_months(_NAMES["id"])).difference(
    *(_months(names) for language, names in _NAMES.items() if language != "id")
)

# Hours east of Greenwich. Of names that several countries use, that which more feeds mean.
_ZONES = {
    "utc": 0, "gmt": 0, "ut": 0, "wet": 0, "west": 1, "bst": 1, "cet": 1, "cest": 2, "mez": 1,
    "mesz": 2, "eet": 2, "eest": 3, "msk": 3, "мск": 3, "trt": 3, "pkt": 5, "ist": 5.5, "npt": 5.75,
    "wib": 7, "wita": 8, "wit": 9, "ict": 7, "sgt": 8, "myt": 8, "hkt": 8, "pht": 8, "awst": 8,
    "jst": 9, "kst": 9, "acst": 9.5, "aest": 10, "aedt": 11, "nzst": 12, "nzdt": 13,
    "adt": -3, "ast": -4, "edt": -4, "est": -5, "et": -5, "cdt": -5, "cst": -6, "ct": -6,
    "mdt": -6, "mst": -7, "mt": -7, "pdt": -7, "pst": -8, "pt": -8, "akst": -9, "hst": -10,
    "brt": -3, "art": -3,
}  # fmt: skip
