"""Errors of httpx, httpx2, requests, urllib3 and aiohttp.

A failed connection is transient, unless the error inside says that it is not: a certificate that
is not valid, a host name that does not exist, no file descriptor left.
"""

from __future__ import annotations

from holdfast.categories.http import category_of_status, of_own_status, of_response
from holdfast.categories.rules import (
    LOGIC,
    PERMANENT,
    TRANSIENT,
    Wrapper,
    attribute,
    each,
    in_context,
    text_of,
)
from holdfast.categories.standard_library import of_errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.categories.category import Category
    from holdfast.categories.rules import Rule

__all__ = ["RULES"]


def _of_proxy(error: BaseException) -> Category | None:
    """Return the category of the status of a proxy, with which the text begins."""
    status = text_of(error)[:3]
    return category_of_status(int(status)) if status.isascii() and status.isdecimal() else None


def _of_aiohttp(error: BaseException) -> Category | None:
    """Return the category of the status; aiohttp says 400 if a response was not HTTP."""
    cause = attribute(error, "__cause__")
    if type(cause).__module__ == "aiohttp.http_exceptions":
        return TRANSIENT
    return of_own_status(error)


def _of_content_type(error: BaseException) -> Category:
    """Return the category of a response in another format, which is often an error page."""
    return of_own_status(error) or PERMANENT


# The cause of an error of httpcore is taken off; its argument remains.
_CONNECTION = Wrapper(TRANSIENT, "args")

_HTTPX: dict[str, Rule] = {
    **each(TRANSIENT, "TimeoutException"),
    **each(_CONNECTION, "NetworkError TransportError"),
    **each(TRANSIENT, "RemoteProtocolError ConnectionNotAvailable"),
    **each(PERMANENT, "InvalidURL LocalProtocolError TooManyRedirects UnsupportedProtocol"),
    **each(LOGIC, "CookieConflict DecodingError StreamError"),
    "ProxyError": Wrapper(TRANSIENT, first=_of_proxy),
    "HTTPStatusError": of_response,
}

RULES: dict[str, dict[str, Rule]] = {
    **dict.fromkeys(("httpx", "httpx2", "httpcore", "httpcore2"), _HTTPX),
    "requests.exceptions": {
        **each(TRANSIENT, "ConnectTimeout Timeout"),
        **each(Wrapper(TRANSIENT, "args"), "ChunkedEncodingError ConnectionError RetryError"),
        **each(Wrapper(PERMANENT, "args"), "SSLError"),
        **each(PERMANENT, "InvalidHeader InvalidSchema InvalidURL MissingSchema URLRequired"),
        **each(PERMANENT, "TooManyRedirects"),
        **each(
            LOGIC,
            "ContentDecodingError InvalidJSONError StreamConsumedError UnrewindableBodyError",
        ),
        "HTTPError": of_response,
    },
    "urllib3.exceptions": {
        **each(TRANSIENT, "EmptyPoolError FullPoolError IncompleteRead InvalidChunkLength"),
        **each(TRANSIENT, "ResponseError TimeoutError"),
        **each(Wrapper(TRANSIENT, "args"), "ProtocolError ProxyError"),
        **each(Wrapper(PERMANENT, "args"), "SSLError"),
        **each(PERMANENT, "HostChangedError InvalidHeader LocationValueError"),
        **each(PERMANENT, "ProxySchemeUnknown ProxySchemeUnsupported"),
        **each(LOGIC, "BodyNotHttplibCompatible ClosedPoolError DecodeError ResponseNotChunked"),
        **each(LOGIC, "TimeoutStateError UnrewindableBodyError"),
        "MaxRetryError": Wrapper(TRANSIENT, "reason"),
        "NewConnectionError": Wrapper(TRANSIENT, in_context),
    },
    "aiohttp.client_exceptions": {
        **each(TRANSIENT, "ServerConnectionError"),
        **each(Wrapper(TRANSIENT), "ClientPayloadError"),
        **each(_CONNECTION, "ClientConnectionError"),
        **each(Wrapper(TRANSIENT, first=of_errno), "ClientOSError"),
        **each(Wrapper(TRANSIENT, "os_error"), "ClientConnectorError ClientProxyConnectionError"),
        **each(Wrapper(PERMANENT, "os_error"), "ClientConnectorSSLError ClientSSLError"),
        **each(PERMANENT, "ClientConnectorCertificateError InvalidURL NonHttpUrlClientError"),
        **each(PERMANENT, "ServerFingerprintMismatch TooManyRedirects"),
        **each(TRANSIENT, "ClientConnectionResetError"),
        **each(LOGIC, "WSMessageTypeError"),
        "ContentTypeError": _of_content_type,
        "ClientResponseError": _of_aiohttp,
    },
    "aiohttp.http_exceptions": {
        **each(TRANSIENT, "BadStatusLine PayloadEncodingError"),
        **each(LOGIC, "ContentEncodingError"),
    },
}
