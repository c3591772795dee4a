"""The fixed list of reasons: why something failed, was degraded or was given up.

Every failure that a feed, an article or a delivery can show is one of these, so that each can be
counted and explained. A new way to fail gets a new line here, never a free text of its own.
"""

from enum import StrEnum


class Reason(StrEnum):
    """A machine name (the value) with one line for people (`text`)."""

    text: str

    def __new__(cls, value: str, text: str) -> "Reason":
        member = str.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member

    # What a request can end in, before any status line came back.
    INVALID_CONFIGURATION = "invalid_configuration", "its options cannot be used; see the detail"
    INVALID_URL = "invalid_url", "the URL cannot be requested (scheme, host or syntax)"
    ADDRESS_DENIED = "address_denied", "the host is at an address that must not be connected to"
    DNS_FAILED = "dns_failed", "the host's name could not be resolved"
    CONNECT_FAILED = "connect_failed", "no connection to the host"
    TLS_FAILED = "tls_failed", "the host's certificate or TLS handshake was refused"
    TIMEOUT = "timeout", "no complete answer before the deadline"
    CONNECTION_LOST = "connection_lost", "the connection broke or the answer was not HTTP"
    TOO_LARGE = "too_large", "the (decompressed) body was over the cap"
    TOO_MANY_REDIRECTS = "too_many_redirects", "the chain of redirects was too long"

    # What a status line can say.
    REDIRECTED = "redirected", "redirected where redirects are not followed"
    UNAUTHORIZED = "unauthorized", "401 or 403: not for us"
    NOT_FOUND = "not_found", "404: there is nothing at that URL"
    GONE = "gone", "410: removed for good"
    RATE_LIMITED = "rate_limited", "429: asked too often"
    CLIENT_ERROR = "client_error", "another 4xx status"
    SERVER_ERROR = "server_error", "a 5xx status"
    UNEXPECTED_STATUS = "unexpected_status", "a status that means nothing here"

    # Feeds.
    NOT_A_FEED = "not_a_feed", "the document is no feed (often: an HTML page)"
    MALFORMED_FEED = "malformed_feed", "the feed could not be parsed and held no entries"
    BAD_SIGNATURE = "bad_signature", "pushed without the signature that was agreed on with the hub"

    # Sites.
    ROBOTS_DENIED = "robots_denied", "the site's robots.txt asks us not to fetch this page"

    # Articles.
    NO_LINK = "no_link", "the entry has no link; published from what the feed said"
    NOT_HTML = "not_html", "the page is no HTML document"
    NO_TEXT = "no_text", "no article text was found on the page"
    NOT_AN_ARTICLE = (
        "not_an_article",
        "the page is no article (a front page, a list, an empty search)",
    )
    PAYWALLED = "paywalled", "the page shows only the beginning to who has not paid"
    LOGIN_REQUIRED = "login_required", "the page asks for a login"
    CONSENT_WALL = "consent_wall", "the page asks for consent to be tracked in place of the article"
    BOT_CHECK = "bot_check", "the page checks whether a person reads it"
    NEEDS_JAVASCRIPT = "needs_javascript", "the page is a shell that scripts would fill"
    INCOMPLETE = "incomplete", "not all parts of the article could be fetched; made from the others"
    EXTRACTION_FAILED = "extraction_failed", "the extractor raised an error on the page"
    CRASHED = "crashed", "it took its process down three times"

    # Language.
    LANGUAGE_UNKNOWN = "language_unknown", "the text's language could not be told"
    NO_ENGINE = "no_engine", "no translation engine is set up for this language pair"
    MODEL_MISSING = "model_missing", "the translation model is not there and could not be fetched"
    ENGINE_FAILED = "engine_failed", "no translation engine gave an answer; it is asked again later"
    REJECTED = "rejected", "no translation was good enough to be shown"
    LATE = "late", "published before its translation was there; that follows"

    # Deliveries.
    NOT_ACCEPTED = "not_accepted", "the chat or mail service answered, but took no message"
    KEPT_FAILING = "kept_failing", "disabled after 120 hours in which nothing was accepted"
    ENDPOINT_DISABLED = "endpoint_disabled", "the endpoint was disabled or removed"
    CANCELLED = "cancelled", "cancelled by hand"
