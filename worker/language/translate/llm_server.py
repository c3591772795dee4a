"""Serves a model on loopback by llama.cpp, in a process of its own.

    python -P llm_server.py PARENT

llama.cpp takes hundreds of megabytes and may end with the process it runs in: hence one that can
be killed and started again. It is a script that imports nothing else of Kabar, so that it starts
fast.

Standard input begins with one line of JSON, `{"weights", "key", "threads", "context"}`. When the
model is loaded, standard output says `{"url"}` in one line, and else `{"error", "detail"}` with the
error `not_installed` or `unusable`. Requests (OpenAI's API) need `key` as their bearer token. The
process ends at the end of its input, and with its parent, however that ended.
"""

import json
import os
import select
import signal
import sys
from typing import Any

_LOOK_SECONDS = 2.0


def main(parent: int) -> int:
    """Serve until the input ends; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):  # of the whole group: the parent will say when
        signal.signal(number, signal.SIG_IGN)
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever else is written to standard output goes to the log
    order = json.loads(sys.stdin.readline())
    try:
        import xllamacpp
    except ImportError as error:
        return _refuse(answers, "not_installed", error)
    try:
        server = _serve(xllamacpp, order)
    except Exception as error:  # noqa: BLE001 - it has no exceptions of its own
        return _refuse(answers, "unusable", error)
    _say(answers, {"url": server.listening_address})
    while os.getppid() == parent:
        if select.select([0], [], [], _LOOK_SECONDS)[0] and not os.read(0, 1024):
            break
    os._exit(0)  # it has threads, which nobody waits for


def _serve(xllamacpp: Any, order: dict[str, Any]) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = order["weights"]
    params.api_keys = [order["key"]]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order["threads"]
    params.n_ctx = order["context"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = 1
    params.swa_full = True  # else what two prompts begin with in common is read anew each time
    params.cache_ram_mib = 0
    params.verbosity = 0
    params.ui = False
    params.endpoint_slots = False
    return xllamacpp.Server(params)


def _refuse(answers: int, error: str, cause: Exception) -> int:
    _say(answers, {"error": error, "detail": str(cause)[:300]})
    return 1


def _say(answers: int, answer: dict[str, Any]) -> None:
    os.write(answers, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
