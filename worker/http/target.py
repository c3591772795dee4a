"""Where a request goes: a URL taken apart and checked before anything is looked up."""

import base64
import re
from ipaddress import ip_address
from urllib.parse import urljoin

from yarl import URL

_LONGEST_URL = 8_192  # where nginx, Apache and IIS draw the line for a request line
_LONGEST_HOST = 253  # RFC 1035 section 2.3.4, as text
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")  # an underscore is no host name, but some sites have one
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_USERINFO = re.compile(r"(?<=//)[^/?#]*@")


class InvalidURLError(ValueError):
    """The URL cannot be requested; the message says why, without quoting its userinfo."""


def parse(text: str) -> tuple[URL, dict[str, str]]:
    """The URL to request, without userinfo and fragment, and the header that its userinfo makes.

    International host names come back as A-labels. Raises `InvalidURLError`.
    """
    url = _checked(text)
    return _bare(url), _credentials(url)


def parse_proxy(text: str) -> tuple[URL, dict[str, str]]:
    """The proxy's URL without userinfo, and the header that its userinfo makes.

    Raises `InvalidURLError`, whose message quotes nothing: a password that was not escaped may
    stand anywhere in such a URL.
    """
    try:
        url = _checked(text)
    except InvalidURLError:
        url = URL()
    if url.scheme != "http" or url.path != "/" or url.query_string:
        raise InvalidURLError("the proxy is not given as http://[user:password@]host[:port]")
    return _bare(url), {f"Proxy-{name}": value for name, value in _credentials(url).items()}


def follow(base: URL, location: str) -> URL:
    """The URL that a redirect from `base` leads to. Raises `InvalidURLError`.

    Userinfo in it is dropped: who redirects us does not choose with whose name we come.
    """
    try:
        # Not URL.join: it decodes parts of the base's path (`%01`), which then cannot be sent.
        return _bare(_checked(urljoin(str(base), location.strip())))
    except ValueError as error:
        raise InvalidURLError(f"redirected to {redacted(location)!r}: {error}") from None


def host(url: URL) -> str:
    """The name in lower case that `url` is asked from, with the port unless that is the scheme's
    own.
    """
    name = (url.raw_host or "").rstrip(".")
    name = f"[{name}]" if ":" in name else name
    return name if url.is_default_port() else f"{name}:{url.port}"


def redacted(text: str) -> str:
    """`text`, a URL or what was meant to be one, without its userinfo."""
    return _USERINFO.sub("", text, count=1) if "@" in text else text


def _checked(text: str) -> URL:
    if len(text) > _LONGEST_URL:
        raise InvalidURLError(f"longer than {_LONGEST_URL} characters")
    try:
        url = URL(text.strip())
        host = url.raw_host
    except ValueError as error:  # UnicodeError, from the IDNA codec, is one too
        raise InvalidURLError(redacted(str(error))) from None
    if url.scheme not in ("http", "https"):
        raise InvalidURLError(f"scheme {url.scheme!r} is neither http nor https")
    if not host:
        raise InvalidURLError("no host")
    if url.port == 0:
        raise InvalidURLError("port 0 cannot be connected to")
    if not _is_host(host):
        raise InvalidURLError(f"host {host!r} is neither a name nor an address")
    return url


def _is_host(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    if ":" in host or _NUMBER.fullmatch(labels[-1]):
        # A name's last label is no number (RFC 3696 section 2); decimal, octal, hex and short
        # forms of addresses (`2130706433`, `0x7f.1`) are not handed to whoever would read them.
        return _is_address(host)
    return len(host) <= _LONGEST_HOST and all(map(_LABEL.fullmatch, labels))


def _is_address(host: str) -> bool:
    try:
        return "%" not in host and bool(ip_address(host))
    except ValueError:
        return False


def _bare(url: URL) -> URL:
    if url.raw_user is not None or url.raw_password is not None:
        url = url.with_user(None)
    return url.with_fragment(None) if url.raw_fragment else url


def _credentials(url: URL) -> dict[str, str]:
    if url.raw_user is None and url.raw_password is None:
        return {}
    pair = f"{url.user or ''}:{url.password or ''}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
