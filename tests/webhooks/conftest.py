"""Fixtures of other rooms, whose parts a delivery passes through."""

from tests.celery.conftest import either_rig, make_rig, rig
from tests.tasks.conftest import bench, either_bench, make_bench, site

__all__ = ["bench", "either_bench", "either_rig", "make_bench", "make_rig", "rig", "site"]
