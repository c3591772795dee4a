"""The moments that pages name."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.articles import moments
from worker.articles.moments import Stamp

JAKARTA = ZoneInfo("Asia/Jakarta")
NOW = datetime(2022, 1, 22, 10, 30, tzinfo=UTC)


def read(value: object) -> Stamp | None:
    return moments.read(value, zone=JAKARTA, language="id", now=NOW)


def iso(value: object) -> str | None:
    stamp = read(value)
    return stamp and stamp.at.isoformat("T", "minutes")


class TestToTheMinute:
    @pytest.mark.parametrize(
        "text",
        [
            "Sabtu, 22 Januari 2022 | 16:57 WIB",
            "Lembah.com - 22/01/2022, 16:57 WIB",
            "Sabtu, 22 Jan 2022 16.57 WIB",
            "Diterbitkan: Sabtu, 22 Jan 2022 pukul 16.57",
            "2022-01-22 16:57:31",
            "2022-01-22T16:57:31.250+0700",
            "2022-01-22T16:57+07:00[Asia/Jakarta]",
            "20220122165731",
            "1642845420",
            1642845420,
            "22.01.2022 16:57 - Diperbarui: 22.01.2022",
        ],
    )
    def test_forms(self, text: object) -> None:
        assert iso(text) == "2022-01-22T16:57+07:00"
        assert read(text).exact

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Ahad, 16 Jan 2022 07.15 WITA", "2022-01-16T07:15+08:00"),
            ("Jum'at, 21 Januari 2022 07:15 WIT", "2022-01-21T07:15+09:00"),
            ("Sat, 22 Jan 2022 09:57:00 GMT", "2022-01-22T09:57+00:00"),
            ("2022-01-22T09:57:00Z", "2022-01-22T09:57+00:00"),
            ("2 jam yang lalu", "2022-01-22T15:30+07:00"),
            ("vor 20 Minuten", "2022-01-22T17:10+07:00"),
        ],
    )
    def test_zones_that_are_written(self, text: str, expected: str) -> None:
        assert iso(text) == expected
        assert read(text).zoned

    def test_zones_that_are_not_written(self) -> None:
        assert not read("22 Januari 2022, 16:57").zoned
        assert not read("2022-01-22 16:57").zoned


class TestDaysOnly:
    @pytest.mark.parametrize(
        "text",
        ["2022-01-20", "20220120", "20 Januari 2022", "20 Jan 2022", "2 hari lalu",
         "2022-01-20T00:00:00+07:00", "20/01/2022", "20.01.2022 - Diperbarui: 20.01.2022"],
    )  # fmt: skip
    def test_midnight_of_the_site(self, text: str) -> None:
        stamp = read(text)
        assert stamp
        assert not stamp.exact
        assert stamp.at == datetime(2022, 1, 20, tzinfo=JAKARTA)


class TestNothing:
    @pytest.mark.parametrize(
        "value",
        ["", "Jakarta", "5 orang", "12 menit", "2022-13-40", "3 Februari 2022 10:00", "x" * 101,
         "1985-01-22 10:00", None, True, [], {}, 10**30, float("inf"), float("nan")],
    )  # fmt: skip
    def test_no_moment(self, value: object) -> None:
        assert read(value) is None

    def test_without_a_clock_the_future_is_not_known(self) -> None:
        assert moments.read("2022-02-03 10:00", zone=None).at == datetime(
            2022, 2, 3, 10, tzinfo=UTC
        )
        assert moments.read("2 jam yang lalu", zone=None) is None

    @given(st.text(max_size=120) | st.from_regex(r"[0-9 :./TZ+-]{6,40}", fullmatch=True))
    def test_never_raises(self, text: str) -> None:
        stamp = read(text)
        assert stamp is None or stamp.at.tzinfo is not None


class TestBest:
    def test_the_first(self) -> None:
        stamps = [None, read("2022-01-20 10:00"), read("2022-01-19 11:00")]
        assert moments.best(stamps) == stamps[1]

    def test_the_time_of_a_day_comes_from_another_of_that_day(self) -> None:
        day, other, exact = (
            read(one) for one in ("2022-01-20", "2022-01-19 11:00", "2022-01-20 11:00")
        )
        assert moments.best([day, other, exact]) == exact
        assert moments.best([day, other]) == day

    def test_none(self) -> None:
        assert moments.best([None]) is None


@pytest.mark.parametrize(
    ("host", "language", "zone"),
    [
        ("www.lembah.co.id", "en", "Asia/Jakarta"),
        ("lembah.example", "id-ID", "Asia/Jakarta"),
        ("lembah.example", "de_AT", "Europe/Vienna"),
        ("lembah.com", "en-US", None),
        ("lembah.com", None, None),
        ("", "", None),
    ],
)
def test_zone_of_a_site(host: str, language: str | None, zone: str | None) -> None:
    found = moments.zone_of(host, language)
    assert found == (ZoneInfo(zone) if zone else None)
