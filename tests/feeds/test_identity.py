"""Entries told apart: what is chosen, and what stays the same."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.feeds import identity
from worker.feeds.identity import IdentityBy, Marks


def marks(
    guid: str | None = None, link: str | None = None, title: str = "", content: str = ""
) -> Marks:
    return Marks(guid=guid, link=link, title=title, summary="", content=content)


def numbered(count: int, **fixed: str | None) -> list[Marks]:
    """Items that differ in all but what is `fixed`."""
    return [
        marks(**{"guid": f"g{n}", "link": f"https://x.example/{n}", "title": f"T{n}", **fixed})
        for n in range(count)
    ]


class TestChoice:
    def test_by_guid(self) -> None:
        assert identity.choose(numbered(1)) == "guid"
        assert identity.choose(numbered(30)) == "guid"
        assert identity.choose(numbered(30, link=None)) == "guid"

    def test_nothing_to_choose_by(self) -> None:
        assert identity.choose([]) is None

    @pytest.mark.parametrize("guid", [None, "one for all"])
    def test_by_link_where_guids_are_none(self, guid: str | None) -> None:
        assert identity.choose(numbered(2, guid=guid)) == "link"

    @pytest.mark.parametrize("guid", [None, "one for all"])
    @pytest.mark.parametrize("link", [None, "https://x.example/"])
    def test_by_content_where_links_are_none_either(
        self, guid: str | None, link: str | None
    ) -> None:
        assert identity.choose(numbered(2, guid=guid, link=link)) == "content"

    def test_one_in_twenty_may_be_bad(self) -> None:
        for bad in ([marks(None, "l", "t")], [marks("g0", "l", "t")]):
            assert identity.choose(numbered(19) + bad) == "guid"
            assert identity.choose(numbered(18) + bad) == "link"

    def test_an_item_that_is_listed_twice_is_no_bad_one(self) -> None:
        assert identity.choose(numbered(3) * 2) == "guid"


class TestIdentities:
    def test_a_guid(self) -> None:
        assert identity.identities(numbered(2), "guid") == ["g0", "g1"]

    def test_without_a_guid_it_is_the_link_then_the_text(self) -> None:
        items = [marks(None, "l", "t"), marks(None, None, "t", "c")]
        for by in ("guid", "link"):
            assert identity.identities(items, by) == ["l", identity.digest("t", "", "c")]

    def test_a_guid_of_two_is_joined_by_what_they_differ_in(self) -> None:
        items = [marks("g", "a"), marks("g", "b"), marks("h", "c")]
        assert identity.identities(items, "guid") == ["g|a", "g|b", "h"]
        unlinked = [marks("g", None, "s"), marks("g", None, "t")]
        assert identity.identities(unlinked, "guid") == [
            f"g|{identity.digest(title, '', '')}" for title in "st"
        ]

    def test_one_guid_and_one_link_are_one_entry(self) -> None:
        items = [marks("g", "a", "before"), marks("g", "a", "after")]
        assert identity.identities(items, "guid") == ["g", "g"]

    def test_by_link_guids_do_not_matter(self) -> None:
        items = [marks("g", "a"), marks("g", "b"), marks("h", "b")]
        assert identity.identities(items, "link") == ["a", "b", "b"]

    def test_by_content_nothing_else_matters(self) -> None:
        items = [marks("g", "a", "t"), marks("h", "b", "t"), marks("g", "a", "u")]
        first, second, third = identity.identities(items, "content")
        assert first == second != third

    def test_a_long_one_becomes_its_hash(self) -> None:
        names = ["g" * 500, "g" * 501, "é" * 2_000, "é" * 2_001]
        found = identity.identities([marks(name) for name in names], "guid")
        assert found[0] == names[0]
        assert len(set(found)) == 4
        assert max(map(len, found)) == 500

    def test_a_hash_is_for_good(self) -> None:
        # As it stands in stores that exist.
        assert identity.digest("A title", "", "text") == (
            "c69a3ac1e071098f19aaf6ff99e340152869918a491f7be368ff5fb363c9e6c7"
        )


values = st.one_of(st.none(), st.sampled_from("abc"))
items = st.lists(st.builds(marks, values, values, st.sampled_from("stu")), max_size=12)


@given(items, st.sampled_from(["guid", "link", "content"]), st.randoms(use_true_random=False))
def test_the_order_does_not_matter(
    listed: list[Marks], by: IdentityBy, chance: random.Random
) -> None:
    shuffled = list(listed)
    chance.shuffle(shuffled)
    assert identity.choose(listed) == identity.choose(shuffled)
    assert dict(zip(listed, identity.identities(listed, by), strict=True)) == dict(
        zip(shuffled, identity.identities(shuffled, by), strict=True)
    )


@given(items)
def test_by_guid_those_with_another_guid_or_link_are_others(listed: list[Marks]) -> None:
    names = dict(zip(listed, identity.identities(listed, "guid"), strict=True))
    for one in listed:
        for other in listed:
            if one.guid and other.guid and (one.guid, one.link) != (other.guid, other.link):
                assert names[one] != names[other]
