"""`kabar`, but the role `io` serves the queue `poll` alone, without the stages behind it."""

from worker import app, cli

app.QUEUES_OF_ROLE["io"] = ("poll",)

if __name__ == "__main__":
    cli.main()
