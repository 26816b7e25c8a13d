"""Where an HTTP request goes: what is read from a URL, and what of it may be shown."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from holdfast.health.connecting import is_name

__all__ = ["Target", "UrlError", "hidden_url", "redirected", "target_of"]

_PORTS = {"http": 80, "https": 443}
_MOST_URL = 8000


class UrlError(ValueError):
    """A URL that no request can be made to. The message shows nothing of it but its scheme."""


class Target:
    """A URL, taken apart.

    Attributes:
        url: The URL without user, password and fragment.
        shown: How a message shows it: without its query, which may have secrets in it.
        origin: Scheme, host and port.
        secure: Whether it is that of HTTPS.
        host: The host name or address, without brackets. One of IPv6 may have a zone:
            "fe80::1%eth0".
        server: The host without the zone, which means nothing to the server.
        port: The port.
        path: The path and the query, as they are sent.
        authorization: The header for the user and the password; None without them.
    """

    __slots__ = (
        "authorization",
        "host",
        "origin",
        "path",
        "port",
        "secure",
        "server",
        "shown",
        "url",
    )

    def __init__(self, scheme: str, host: str, port: int, path: str, authorization: str | None):
        at = f"[{host.replace('%', '%25')}]" if ":" in host else host
        at = at if port == _PORTS[scheme] else f"{at}:{port}"
        self.url = f"{scheme}://{at}{path}"
        self.shown = f"{scheme}://{at}{path.partition('?')[0]}"
        self.origin = (scheme, host, port)
        self.secure = scheme == "https"
        self.host = host
        self.server = host.partition("%")[0] if ":" in host else host
        self.port = port
        self.path = path
        self.authorization = authorization


def target_of(url: object) -> Target:
    """Take a URL apart.

    Raises:
        UrlError: It is none of HTTP or HTTPS.
    """
    if not isinstance(url, str) or not 0 < len(url) <= _MOST_URL:
        raise UrlError
    if not all("!" <= character <= "~" for character in url):
        raise UrlError  # urlsplit() drops some of these
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UrlError from error
    if parts.scheme not in _PORTS or not host or port == 0 or not is_name(host):
        raise UrlError
    if ":" in host and "%" in host:
        address, _, zone = host.partition("%")
        # "%25" is how a "%" is written in a URL (RFC 6874); RFC 9844 has it plain.
        zone = zone[2:] if zone.startswith("25") and zone != "25" else zone
        host = f"{address}%{zone}"
    authorization = None
    if parts.username is not None or parts.password is not None:
        user, password = (unquote_to_bytes(part or "") for part in (parts.username, parts.password))
        authorization = "Basic " + b64encode(user + b":" + password).decode()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path, authorization)


def redirected(target: Target, location: str) -> Target:
    """Return where a response redirects to.

    Raises:
        UrlError: It is no URL of HTTP or HTTPS, or leads from HTTPS to HTTP.
    """
    try:
        found = target_of(urljoin(target.url, location))
    except ValueError as error:
        raise UrlError from error
    if target.secure and not found.secure:
        raise UrlError
    return found


class _Hidden:
    """What a message shows of a value that may have a password in it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def hidden_url(url: object) -> object:
    """Return what to show of a URL that is refused: its scheme, or what it is instead of one."""
    if url is None or isinstance(url, (bool, int, float)):
        return url
    if not isinstance(url, str):
        return _Hidden(f"an object of {type(url).__name__}")
    scheme, found, _ = url.partition("://")
    if found and scheme.isascii() and scheme.isalnum() and len(scheme) <= 20:
        return f"{scheme}://…"
    return _Hidden(f"a string of {len(url)} characters")
