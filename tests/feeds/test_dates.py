"""Dates read: what feeds write, in the languages that they write in."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.feeds import dates


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# What is written, the feed's language, and the time in UTC.
WRITTEN = [
    # Indonesian
    ("Sabtu, 22 Januari 2022 | 16:57 WIB", "id", "2022-01-22 09:57"),
    ("22 Jan 2022 16:57 WIB", "id", "2022-01-22 09:57"),
    ("Jum'at, 21 Januari 2022 16:57", "id", "2022-01-21 09:57"),
    ("Jumat, 12 Agt 2022 08.05 WITA", "id", "2022-08-12 00:05"),
    ("Ahad, 4 Desember 2022 07:00 WIT", "id", "2022-12-03 22:00"),
    ("Minggu, 04 Des 2022 - 19:30", None, "2022-12-04 12:30"),
    ("Senin, 5 Sept 2022", "id", "2022-09-04 17:00"),
    ("17 Agustus 2022 pukul 10.00 WIB", None, "2022-08-17 03:00"),
    ("Kamis (14/9/2023) 09.15 WIB", "id", "2023-09-14 02:15"),
    ("16.57 WIB, 22 Jan 2022", "id", "2022-01-22 09:57"),
    ("1 Nopember 2021 23:59:59", "id-ID", "2021-11-01 16:59:59"),
    ("22 Mei 2022 16:57", "in", "2022-05-22 09:57"),
    ("22 Maret 2022 16:57 +0000", "id", "2022-03-22 16:57"),
    ("22-03-2022 16:57", "id", "2022-03-22 16:57"),
    # Malay and Dutch write some months alike, elsewhere
    ("22 Januari 2022 16:57", "nl", "2022-01-22 16:57"),
    ("Isnin, 3 Ogos 2022 4:30 PM", "ms", "2022-08-03 16:30"),
    ("8 Mac 2023", "ms", "2023-03-08 00:00"),
    ("Sabtu, 22 Disember 2022 16:57", "ms", "2022-12-22 16:57"),
    ("zaterdag 22 maart 2022 16:57 uur", "nl", "2022-03-22 16:57"),
    # Others of Europe
    ("sábado, 22 de enero de 2022, 16:57 h", "es", "2022-01-22 16:57"),
    ("mar, 15 mar 2022 09:05:00 +0100", "es", "2022-03-15 08:05"),
    ("5 de setiembre del 2022", "es", "2022-09-05 00:00"),
    ("22 janvier 2022 à 16h57", "fr", "2022-01-22 16:57"),
    ("1er août 2022", "fr", "2022-08-01 00:00"),
    ("sam. 22 févr. 2022 16:57 CET", "fr", "2022-02-22 15:57"),
    ("jeudi 14 septembre 2023 - 9h", "fr", "2023-09-14 09:00"),
    ("22. Januar 2022, 16:57 Uhr", "de", "2022-01-22 16:57"),
    ("Sa, 5. März 2022 16:57:10 MEZ", "de", "2022-03-05 15:57:10"),
    ("05.03.2022 16:57", "de", "2022-03-05 16:57"),
    ("22 de março de 2022 às 16h57", "pt-BR", "2022-03-22 16:57"),
    ("sabato 22 gennaio 2022 - 16:57", "it", "2022-01-22 16:57"),
    ("22 set 2022", "it", "2022-09-22 00:00"),
    ("22 stycznia 2022, 16:57", "pl", "2022-01-22 16:57"),
    ("3 paź 2022 16:57", "pl", "2022-10-03 16:57"),
    ("22 Şubat 2022 16:57", "tr", "2022-02-22 16:57"),
    ("22 Kasım 2022 Salı 16:57", "tr", "2022-11-22 16:57"),
    ("22 AĞUSTOS 2022", "tr", "2022-08-22 00:00"),
    ("22 января 2022 г., 16:57", "ru", "2022-01-22 16:57"),
    ("22 мая 2022 16:57 (МСК)", "ru", "2022-05-22 13:57"),
    ("2022-január-22T16:57+01:00", "hu", "2022-01-22 15:57"),
    ("Κυρ, 11 Ιαν 2022 16:57:00 EET", "el", "2022-01-11 14:57"),
    # Asia
    ("22 يناير 2022 16:57", "ar", "2022-01-22 16:57"),
    ("٢٢ أغسطس ٢٠٢٢ ٤:٥٧ م", "ar", "2022-08-22 16:57"),
    ("22 تشرين الثاني 2022", "ar", "2022-11-22 00:00"),
    ("Thứ Bảy, 22 tháng 1, 2022 16:57", "vi", "2022-01-22 16:57"),
    ("ngày 22 tháng 01 năm 2022", "vi", "2022-01-22 00:00"),
    ("09:15, Thứ Năm, 14/9/2023 (GMT+7)", "vi", "2023-09-14 02:15"),
    ("2022年1月22日 16:57", "zh", "2022-01-22 16:57"),
    ("2022年01月22日 下午4:57", "zh", "2022-01-22 16:57"),
    ("2022年1月22日（土）16時57分", "ja", "2022-01-22 16:57"),
    ("2022년 5월 28일 01:31:15", "ko", "2022-05-28 01:31:15"),
    ("2022-05-25 오후 11:23:17", "ko", "2022-05-25 23:23:17"),
    # RFC 822, well and less well
    ("Sat, 22 Jan 2022 16:57:00 +0700", "en", "2022-01-22 09:57"),
    ("Sat, 22 Jan 2022 16:57 GMT", None, "2022-01-22 16:57"),
    ("Mon, 22 Jan 2022 16:57:00 GMT", None, "2022-01-22 16:57"),
    ("Sat,22 Jan 2022 16:57:60 Z", None, "2022-01-22 16:57:59"),
    ("22 Jan 22 16:57 EST", None, "2022-01-22 21:57"),
    ("Sat, 22 Jan 99 16:57:00 -0000", None, "1999-01-22 16:57"),
    ("Saturday, 22-Jan-22 16:57:00 UTC", None, "2022-01-22 16:57"),
    ("Sat, 22 January 2022 16:57:00 +05:30", None, "2022-01-22 11:27"),
    ("Sat, 22 Jan 2022 16:57:00 GMT-5", None, "2022-01-22 21:57"),
    ("Saturday, January 22, 2022 4:57 PM", "en", "2022-01-22 16:57"),
    ("January 22nd, 2022, 12:05 a.m. EST", "en", "2022-01-22 05:05"),
    ("Jan 22 2022", "en", "2022-01-22 00:00"),
    ("Sat Jan 22 2022 16:57:00 GMT+0700 (Indochina Time)", None, "2022-01-22 09:57"),
    ("Sun Jan  4 16:29:06 PST 2004", None, "2004-01-05 00:29:06"),
    ("Fri, 2006/09/15 08:19:53 EDT", None, "2006-09-15 12:19:53"),
    # In figures: the order of the language
    ("02/01/2022", "en-US", "2022-02-01 00:00"),
    ("02/01/2022", "en-GB", "2022-01-02 00:00"),
    ("02.01.22 06:57", "ru", "2022-01-02 06:57"),
    ("01/22/2022 4:57 PM", None, "2022-01-22 16:57"),
    ("22/01/2022 16:57", None, "2022-01-22 16:57"),
    # ISO 8601, and near it
    ("2022-01-22T16:57:00Z", None, "2022-01-22 16:57"),
    ("2022-01-22T16:57:00.5+07:00", None, "2022-01-22 09:57"),
    ("2022-01-22 16:57:00", None, "2022-01-22 16:57"),
    ("2022/01/22 16:57:00 +0900", None, "2022-01-22 07:57"),
    ("2022.01.22, 16:57", None, "2022-01-22 16:57"),
    ("2022-1-2 6:57", None, "2022-01-02 06:57"),
    ("2022-01-22T16:57:00 +07:00", None, "2022-01-22 09:57"),
    ("2022-01-22T16.57.00Z", None, "2022-01-22 16:57"),
    ("20220122T165700Z", None, "2022-01-22 16:57"),
    ("  2022-01-22\n", None, "2022-01-22 00:00"),
    # Epochs
    ("1642870620", None, "2022-01-22 16:57"),
    ("1642870620000", None, "2022-01-22 16:57"),
    ("757382400", None, "1994-01-01 00:00"),
]

NONE = [
    ("Tue, 24 Nov 20226 10:00:00 GMT", None),
    ("20226-01-22T16:57:00Z", None),
    ("0001-01-01T00:00:00Z", None),
    ("Mon, 30 Nov -0001 00:00:00 +0000", None),
    ("Thu, 01 Jan 1970 00:00:00 GMT", None),
    ("31 Dec 1989 23:59:59 GMT", None),
    ("2101-01-01T00:00:00Z", None),
    ("9999-12-31T23:59:59-23:00", None),
    ("Tue, 31 Feb 2026 10:00:00 GMT", None),
    ("Tue, 24 Nov 2026 25:61:00 GMT", None),
    ("Tue, 24 Nov 2026 10:00:00 +9900", None),
    ("Tue, 24 Nov 2026 10:00:00 +1500", None),
    ("2026-02-31 10:00", None),
    ("02/01/2022", None),
    ("02/01/2022", "en"),
    ("22-01-22", None),
    ("2022", None),
    ("22 Jan", None),
    ("Jan 2022", None),
    ("1642870", None),
    ("the day after tomorrow", "en"),
    ("5 menit yang lalu", "id"),
    ("22 Foo 2022", None),
    ("22 Januari 2022" + " " * 100 + "16:57", "id"),
    ("", None),
]


@pytest.mark.parametrize(("text", "language", "expected"), WRITTEN)
def test_what_is_written(text: str, language: str | None, expected: str) -> None:
    found = dates.read(text, language)
    assert found == utc(expected)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(("text", "language"), NONE)
def test_what_names_no_day(text: str, language: str | None) -> None:
    assert dates.read(text, language) is None


def test_a_month_has_one_number_in_all_languages() -> None:
    numbers: dict[str, set[int]] = {}
    for names in dates._NAMES.values():
        assert len(names.split()) == 12
        for name, number in dates._months(names).items():
            numbers.setdefault(name, set()).add(number)
    assert {name: found for name, found in numbers.items() if len(found) > 1} == {}


moments = st.integers(int(utc("1990-01-02").timestamp()), int(utc("2100-12-30").timestamp())).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)


@given(moments)
def test_a_time_comes_back(moment: datetime) -> None:
    month = "januari februari maret april mei juni juli agustus september oktober november desember"
    written = (
        f"{moment.day} {month.split()[moment.month - 1]} {moment.year} | {moment:%H.%M.%S} UTC"
    )
    assert dates.read(written, "id") == moment
    assert dates.read(moment.isoformat()) == moment
    assert dates.read(f"{moment:%a, %d %b %Y %H:%M:%S} GMT") == moment


@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(
                ["1", "22", "2022", "99", "٢", "²", " ", "-", "/", ":", ".", ",", "年", "月", "日",
                 "16:57", "Jan", "Mei", "WIB", "h", "tháng", "+07", "T", "Z", "pm", "de", "İ"]
            ),
            max_size=14,
        ).map("".join),
    ),
    st.sampled_from([None, "id", "en-US", "x"]),
)  # fmt: skip
def test_any_text_gives_a_time_or_none(text: str, language: str | None) -> None:
    found = dates.read(text, language)
    assert found is None or (found.tzinfo is UTC and 1989 <= found.year <= 2101)
