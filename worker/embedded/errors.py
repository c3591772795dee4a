"""Why `kabar up` ends by itself."""


class StartError(Exception):
    """The service cannot be started, or has given up; the message is one line with the way out."""
