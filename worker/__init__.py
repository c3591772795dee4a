"""Kabar, a streaming news-ingestion worker.

The rooms stand in the order in which data flows through them; imports go one way.

`settings`   Settings (config/*.toml, then `KABAR_*`); `reasons` the fixed list of reasons; `logs`.
`http`       the one client: every request leaves here, guarded, capped and under one deadline.
`feeds`      feed -> new entries: conditional GET, parse, and when to ask again.
`articles`   entry -> clean article: fetch, extract.
`language`   article -> summary in the reader's language: identify, summarise, translate.
`stories`    article -> story: canonical URLs, fingerprints, join or open.
`webhooks`   story -> deliveries: event, match, sign, send, and when to try again.
`store`      tables, migrations, claims; executes the outcomes that the rooms decide.
`batches`    what a task does with its claim: side by side, politely, in time, committed in groups.
`visits`     how pages are fetched: when their hosts may be asked, and as robots.txt has it.
`tasks`      one thin Celery task a stage: claim, call the room, commit, wake the next stage.
`app`        the Celery app: queues, routes, beat schedule, every setting with its reason.
`web`        health and readiness over HTTP (API and dashboard to come).
`embedded`   `kabar up`: broker, beat, workers and web under one foreground process.
`demo`       a sample newsroom and a webhook receiver on loopback.
`cli`        the command `kabar`: one module a noun.
"""

__version__ = "0.1.0"
