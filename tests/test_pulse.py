"""The sign of life that is a file."""

import os
import time
from pathlib import Path

from worker import pulse


def test_who_touched_is_felt_in_each_role(tmp_path: Path) -> None:
    data_dir = tmp_path / "not" / "there yet"
    pulse.touch(data_dir, ["io", "cpu"])
    assert pulse.is_felt(data_dir, "io")
    assert pulse.is_felt(data_dir, "cpu")
    assert not pulse.is_felt(data_dir, "beat")
    assert not pulse.is_felt(tmp_path, "io")


def test_a_touch_wears_off_and_is_renewed(tmp_path: Path) -> None:
    pulse.touch(tmp_path, ["io"])
    [path] = [path for path in tmp_path.rglob("*") if path.is_file()]
    for age in (pulse.SILENT_AFTER_SECONDS + 1, -pulse.SILENT_AFTER_SECONDS - 60):
        os.utime(path, times=(time.time() - age,) * 2)
        assert not pulse.is_felt(tmp_path, "io")
    pulse.touch(tmp_path, ["io"])
    assert pulse.is_felt(tmp_path, "io")


def test_where_nothing_can_be_written_nothing_is_felt(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.touch()
    pulse.touch(occupied, ["io"])
    assert not pulse.is_felt(occupied, "io")
    assert occupied.is_file()
