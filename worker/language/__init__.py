"""Language: from an article to its summary, in the reader's language."""

from worker.language.identify import identify
from worker.language.process import FeedText, ProcessOutcome, Source, crashed, load, process
from worker.language.summarize import Summary, summarize

__all__ = [
    "FeedText",
    "ProcessOutcome",
    "Source",
    "Summary",
    "crashed",
    "identify",
    "load",
    "process",
    "summarize",
]
