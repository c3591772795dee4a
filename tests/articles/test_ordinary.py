"""Sentences of news that begin as lines do which are no part of it."""

from datetime import UTC, datetime

import pytest

from worker.articles import Page, extract

PARAGRAPHS = [
    f"The council spent its {number}th hour on the plan for the old harbour, which residents of "
    f"the district have asked about for {number + 3} years without an answer that they could use."
    for number in range(1, 12)
]


@pytest.mark.parametrize(
    "last",
    [
        "Published in 1998, the novel sold two million copies within a year and was filmed twice.",
        "The post of mayor will be filled by a vote of the council on the last Friday of May.",
        "With additional troops arriving on Monday, the town counts more soldiers than bakers.",
        "The opinions of the judges were split, and the court adjourned until after the summer.",
        "All images of the saint were carried through the streets, as they are every spring.",
        "This content was what the jury had to judge in a single night without any sleep.",
        "Join the army or go to prison was the choice that the young men of the valley had.",
        "Something went wrong that night, and nobody on the bridge has said yet what it was.",
        "Be the first to admit a mistake, her father had told her when she took the office.",
        "To follow him or to leave the party was the choice that members had after the speech.",
        "For questions of faith the bishop sends them to the abbot, who seldom answers letters.",
    ],
)
def test_an_ordinary_last_sentence_stays(last: str) -> None:
    paragraphs = "".join(f"<p>{one}</p>" for one in [*PARAGRAPHS, last])
    body = f"<html><body><article><h1>The harbour plan</h1>{paragraphs}</article></body></html>"
    page = Page("https://example.org/news/plan", body.encode(), "utf-8", datetime.now(UTC))
    assert extract(page).paragraphs[-1] == last


def test_the_second_of_two_parts_around_an_advertisement_stays() -> None:
    first, last = "".join(f"<p>{one}</p>" for one in PARAGRAPHS[:-1]), PARAGRAPHS[-1]
    body = (
        f"<html><body><article><h1>The harbour plan</h1><div class=part-1>{first}</div>"
        f"<div class=ad>Advertisement</div><div class=part-2><p>{last}</p></div></article></body>"
        "</html>"
    )
    page = Page("https://example.org/news/plan", body.encode(), "utf-8", datetime.now(UTC))
    assert extract(page).paragraphs[-1] == last
