from worker.reasons import Reason


def test_each_has_one_line_for_people() -> None:
    for reason in Reason:
        assert reason.text
        assert "\n" not in reason.text
    assert len({reason.text for reason in Reason}) == len(Reason)


def test_each_is_its_machine_name() -> None:
    assert f"{Reason.NOT_A_FEED}" == "not_a_feed"
    assert Reason("not_a_feed") is Reason.NOT_A_FEED  # type: ignore[call-arg]
    for reason in Reason:
        assert reason.isascii()
        assert reason == reason.name.lower()
        assert len(reason) <= 32  # the width of the store's columns
