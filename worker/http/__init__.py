"""The one client: every request of Kabar leaves here, guarded, capped and under one deadline."""

from worker.http.client import Client
from worker.http.response import Hop, Response
from worker.http.target import redacted

__all__ = ["Client", "Hop", "Response", "redacted"]
