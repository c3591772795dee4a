"""The one client: every request of Kabar leaves here, guarded, capped and under one deadline."""

from worker.http.client import Client
from worker.http.response import Hop, Response

__all__ = ["Client", "Hop", "Response"]
