"""JSON-LD as sites write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.articles import jsonld


def types(*scripts: str) -> list[tuple[str, ...]]:
    return [jsonld.types(node) for node in jsonld.nodes(scripts)]


class TestNodes:
    @pytest.mark.parametrize(
        "script",
        [
            '{"@type": "NewsArticle"}',
            '[{"@type": ["NewsArticle"]}]',
            '{"@graph": [{"@type": "http://schema.org/NewsArticle"}]}',
            '{"@type": "schema:NewsArticle", "headline": "A\nB"};',
            '<!-- {"@type": "NewsArticle"} -->',
            '//<![CDATA[\n{"@type": "NewsArticle"}\n//]]>',
            "{&quot;@type&quot;: &quot;NewsArticle&quot;}",
            '{"@type": "NewsArticle", "keywords": ["a", "b",],}',
            '{"@type": "NewsArticle", "headline": "the "old" bridge"}',
            '{"@type": "NewsArticle", "headline": "it\\\'s \\x open"}',
            '{"@type": "NewsArticle", "headline": "cut of',
            '{"@type": "NewsArticle", "keywords": ["a", "b"',
            '\ufeff {"@type": "NewsArticle",, "headline": "a"} trailing',
        ],
    )
    def test_a_node_is_found_in_each(self, script: str) -> None:
        assert types(script) == [("NewsArticle",)]

    def test_objects_one_after_another(self) -> None:
        assert types('{"@type": "A"}\n{"@type": "B"},{"@type": "C"}') == [("A",), ("B",), ("C",)]

    def test_a_broken_object_hides_no_other(self) -> None:
        script = '{"@type": "A", "name": "x "y" z", }{"@type": "B"}'
        assert types(script) == [("A",), ("B",)]

    def test_outer_before_inner(self) -> None:
        script = (
            '{"@type": "A", "author": {"@type": "B"}, "image": [{"@type": "C"}, {"@type": "D"}]}'
        )
        assert types(script) == [("A",), ("B",), ("C",), ("D",)]

    def test_listed_articles_are_others(self) -> None:
        script = '{"@type": "A", "hasPart": {"@type": "B"}, "itemListElement": [{"@type": "C"}]}'
        assert types(script) == [("A",)]

    def test_quotes_that_end_nothing_stay(self) -> None:
        (node,) = jsonld.nodes(['{"headline": "the "old" bridge", "url": "a\\b",}'])
        assert node == {"headline": 'the "old" bridge', "url": "a\b"}


class TestValues:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, []),
            ("", []),
            ("a", ["a"]),
            (["a", "b"], ["a", "b"]),
            ({"@value": "a"}, ["a"]),
            ({"@list": ["a", "b"]}, ["a", "b"]),
            ({"name": "a"}, [{"name": "a"}]),
        ],
    )
    def test_one_several_or_none(self, value: object, expected: list[object]) -> None:
        assert jsonld.values(value) == expected

    @pytest.mark.parametrize(
        "value",
        ["A &amp; B", [None, 3, "A & B"], {"name": ["A &amp;amp; B"]}, [{"name": "A  & B"}]],
    )
    def test_text(self, value: object) -> None:
        assert jsonld.text(value) == "A & B"

    def test_the_fullest_node_of_an_id(self) -> None:
        nodes = [{"@id": "x"}, {"@id": "x", "name": "A"}, {"@id": 3}]
        assert jsonld.by_id(nodes) == {"x": {"@id": "x", "name": "A"}}


class TestHostileScripts:
    @given(st.text(alphabet='{}[]":,\\ \n"@typeahdlin0u1', max_size=300))
    def test_never_raises(self, script: str) -> None:
        for node in jsonld.nodes([script]):
            jsonld.types(node)
            jsonld.text(node)

    @pytest.mark.parametrize(
        "unit",
        [
            "[",
            '{"a":',
            '{"@type":"a" ',
            '"',
            "\\",
            '"\\"',
            '{"a":"b"c"',
            "{,",
            " ",
            '{"a" : ',
            '"a" b ',
        ],
    )
    def test_ends_with_two_million_characters(self, unit: str) -> None:
        # Were it quadratic, it would take an hour.
        script = '{"@type":"A","b":' + unit * (1_900_000 // len(unit))
        assert len(jsonld.nodes([script])) < 100_000

    def test_nesting_without_end(self) -> None:
        assert jsonld.nodes(['{"@type":"A","b":' * 100_000]) == []

    def test_figures_without_end(self) -> None:
        assert jsonld.nodes(['{"@type": 1' + "0" * 10_000 + "}"]) == []
