"""HttpCheck: whether a URL answers as it should.

Owns one exchange over HTTP within a limit of time that holds as a whole. Elsewhere: how a
connection is made (``connecting``), and what a URL says (``http_target``).
"""

from __future__ import annotations

import re
from importlib import import_module
from io import BufferedReader, RawIOBase

from holdfast._version import __version__
from holdfast.clock import system_clock
from holdfast.health.check import Check
from holdfast.health.connecting import addresses_of, connect, literal_address, of_own_fault, told
from holdfast.health.http_target import UrlError, hidden_url, redirected, target_of
from holdfast.health.result import CheckResult
from holdfast.validation import explains_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection, Mapping
    from datetime import timedelta
    from http.client import HTTPResponse
    from socket import socket
    from typing import Any

    from holdfast.health.check import Allowance
    from holdfast.health.http_target import Target
    from holdfast.validation import Problems

__all__ = ["HttpCheck"]

_METHODS = ("GET", "HEAD", "OPTIONS")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SWITCHING = 101  # to another protocol: no response of this one follows
_MOST_REDIRECTS = 20
_MOST_BODY = 16 * 1024 * 1024
_MOST_HEADERS = 256 * 1024  # bytes before a body, interim responses included
_OF_MESSAGE = frozenset({"connection", "content-length", "transfer-encoding"})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[ \t!-~\x80-\xff]{0,8000}")
_STATUS = "a status from 100 to 599, a range of them, or several of both"

_contexts: list[ssl.SSLContext] = []  # the default one, once it was needed: it takes long to make


class HttpCheck(Check):
    """Requests a URL, and looks at the status, the body and the duration.

    The check passes if the status is one of ``status``, and if ``body`` is in the body. Without
    ``body``, the body is not read. The timeout holds for all of it together, from the connection
    to the last byte. An exception is the look-up of a host name, which cannot be interrupted: if
    the system's resolver hangs, the run takes longer, and a monitor abandons it.

    Each run makes a connection, and closes it. HTTPS verifies the certificate. Proxies in the
    environment are not used. A user and a password in the URL are sent as an Authorization header;
    no message shows them, nor the query of the URL. In an event loop the check runs in a thread.

    Args:
        name: For messages and metrics, 1 to 200 characters.
        url: An address of http or https, in ASCII.
        method: "GET", "HEAD" or "OPTIONS".
        status: Which statuses pass: a number, a range, or several of both.
        body: The body has to contain this: a string, bytes, or a compiled regular expression.
        body_limit: How many bytes of the body are read at most, 1 to 16,777,216.
        headers: Headers to send, by name.
        redirects: How many redirects are followed, 0 to 20; never from https to http. Other hosts
            get neither ``headers`` nor the password.
        degraded_after: The check is degraded if it takes longer than this many seconds; None for
            no limit.
        context: Which certificates are trusted; None: those that the system trusts.
        interval: Seconds from one run to the next; None: that of the monitor.
        timeout: How many seconds one run may take; None: that of the monitor.
        failures: How many failed runs in a row make the check unhealthy.
        successes: How many passed runs in a row make it healthy again.
        start_period: Seconds after the start during which failed runs do not count before the
            first pass.
        jitter: The share of the interval by which a run may be delayed; None: that of the monitor.
        critical: Whether the service cannot work without this dependency.
        liveness: Whether a restart of this process would help if the check is unhealthy.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Immutable and without state, so safe to share between threads, event loops and monitors.

    >>> HttpCheck("shop", "https://user:secret@shop.example/health?key=1", timeout=2).url
    'https://shop.example/health'
    """

    __slots__ = (
        "_body",
        "_body_limit",
        "_context",
        "_degraded_after_ns",
        "_headers",
        "_method",
        "_redirects",
        "_statuses",
        "_target",
    )

    @explains_names
    def __init__(
        self,
        name: str,
        url: str,
        *,
        method: str = "GET",
        status: int | range | Collection[int | range] = range(200, 300),
        body: str | bytes | re.Pattern[str] | re.Pattern[bytes] | None = None,
        body_limit: int = 65536,
        headers: Mapping[str, str] | None = None,
        redirects: int = 0,
        degraded_after: float | timedelta | None = None,
        context: ssl.SSLContext | None = None,
        interval: float | timedelta | None = None,
        timeout: float | timedelta | None = None,
        failures: int = 3,
        successes: int = 1,
        start_period: float | timedelta = 0.0,
        jitter: float | None = None,
        critical: bool = True,
        liveness: bool = False,
    ) -> None:
        self._target: Any = url
        self._method = method
        self._statuses: Any = status
        self._body: Any = body
        self._body_limit = body_limit
        self._headers: Any = headers
        self._redirects = redirects
        self._degraded_after_ns: Any = degraded_after
        self._context: Any = context
        super().__init__(
            name,
            interval=interval,
            timeout=timeout,
            failures=failures,
            successes=successes,
            start_period=start_period,
            jitter=jitter,
            critical=critical,
            liveness=liveness,
        )

    def _checked(self, problems: Problems) -> None:
        # Now: in a child that is forked while a thread imports it, nobody could any more.
        import_module("http.client")
        try:
            self._target = target_of(self._target)
        except UrlError:
            shown = hidden_url(self._target)
            problems.refuse("url", shown, "an address of http or https, in ASCII without spaces")
        self._method = problems.choice("method", self._method, _METHODS)
        self._statuses = _read_statuses(problems, self._statuses)
        self._body = _read_body(problems, self._body, self._method)
        limit = problems.integer("body_limit", self._body_limit, least=1, most=_MOST_BODY)
        self._body_limit = limit
        self._headers = _read_headers(problems, self._headers)
        self._redirects = problems.integer(
            "redirects", self._redirects, least=0, most=_MOST_REDIRECTS
        )
        self._degraded_after_ns = problems.duration(
            "degraded_after", self._degraded_after_ns, least_ns=1, none=True
        )
        if self._context is not None:
            from ssl import SSLContext

            problems.instance("context", self._context, SSLContext, "an ssl.SSLContext, or None")

    @property
    def url(self) -> str:
        """The URL, without user, password and query."""
        shown: str = self._target.shown
        return shown

    def probe(self) -> CheckResult:
        """Request the URL in this thread."""
        from http.client import HTTPException

        began_ns = system_clock.now_ns()
        allowance = self._allowance()
        try:
            status, wrong = self._request(allowance)
        except UrlError:
            return self._failed("redirected to where the check does not follow")
        except (OSError, HTTPException) as error:
            if isinstance(error, TimeoutError) and allowance.left_ns() == 0:
                return self._failed(f"took longer than {allowance.limit_ns / 1e9:.3g} s")
            own = of_own_fault(error)
            return self._failed(_told(error)) if own is None else own
        taken_ns = system_clock.now_ns() - began_ns
        details = {"status": status, "seconds": taken_ns / 1e9}
        if wrong:
            return CheckResult("failed", self._at(wrong), details)
        most_ns: int | None = self._degraded_after_ns
        if most_ns is not None and taken_ns > most_ns:
            slow = f"took {taken_ns / 1e9:.3g} s, more than {most_ns / 1e9:g} s"
            return CheckResult("degraded", self._at(slow), details)
        return CheckResult("passed", "", details)

    def _at(self, text: str) -> str:
        return f"{self._method} {self._target.shown}: {text}"

    def _failed(self, why: str) -> CheckResult:
        return CheckResult("failed", self._at(why))

    def _request(self, allowance: Allowance) -> tuple[int, str]:
        """Return the status of the last response, and what is wrong with it, "" for nothing."""
        target: Target = self._target
        followed = 0
        while True:
            line = _Line(target, allowance, _MOST_HEADERS + 8 * self._body_limit)
            try:
                if target.secure:
                    line.secure(self._context or _default_context())
                response = self._exchange(line, target)
                status = response.status
                location = response.headers.get("Location", "")
                if status in self._statuses:
                    return status, self._judge_body(response)
                if not (self._redirects and status in _REDIRECTS and location):
                    return status, f"status {status}, allowed {_spans(self._statuses)}"
                if followed == self._redirects:
                    return status, f"more than {followed} redirects"
            finally:
                line.end()
            followed += 1
            target = redirected(target, location)

    def _exchange(self, line: _Line, target: Target) -> HTTPResponse:
        from http.client import HTTPConnection

        connection = HTTPConnection(target.server, target.port)
        connection.default_port = 443 if target.secure else 80  # of which no header tells
        connection.auto_open = 0
        stand_in: Any = line
        connection.sock = stand_in
        headers = {"User-Agent": f"holdfast/{__version__}", "Accept": "*/*"}
        if target.origin == self._target.origin:
            # After a redirect to the same place the password is that of the first URL.
            authorization = target.authorization or self._target.authorization
            headers |= {"Authorization": authorization} if authorization else {}
            given = {name.lower() for name in self._headers}
            headers = {name: one for name, one in headers.items() if name.lower() not in given}
            headers |= self._headers
        headers["Connection"] = "close"
        there = {name.lower() for name in headers}
        connection.putrequest(
            self._method,
            target.path,
            skip_host="host" in there,
            skip_accept_encoding="accept-encoding" in there,
        )
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response: Any = connection.getresponse()
        while self._is_interim(response.status):
            response.fp = None  # else it would close the stream, which the next one goes on with
            response = connection.response_class(stand_in, method=self._method)
            response.begin()
        found: HTTPResponse = response
        return found

    def _is_interim(self, status: int) -> bool:
        """Return whether another response follows, such as after 103 (Early Hints)."""
        return 100 <= status < 200 and status != _SWITCHING and status not in self._statuses

    def _judge_body(self, response: HTTPResponse) -> str:
        body: Any = self._body
        if body is None:
            return ""
        data = response.read(self._body_limit)
        expected = response.length
        if len(data) < self._body_limit and expected:
            return f"the connection was closed {expected} bytes before the end of the body"
        is_pattern = _is_pattern(body)
        wanted: Any = body.pattern if is_pattern else body
        given: Any = data if isinstance(wanted, bytes) else _text(response, data)
        if (body.search(given) is not None) if is_pattern else (wanted in given):
            return ""
        does = "match" if is_pattern else "contain"
        read = f"{len(data)} bytes of the body do" if expected else "the body does"
        return f"{read} not {does} {wanted!r}"


class _Line:
    """A connection that is used up to a time, in the place of a socket for ``http.client``.

    The timeout of a socket is that of one read: a server that sends a byte now and then would
    never be late.
    """

    __slots__ = ("_allowance", "_host", "_left", "_sock", "_stream")

    def __init__(self, target: Target, allowance: Allowance, most: int) -> None:
        known = literal_address(target.host, target.port)
        addresses = [known] if known else addresses_of(target.host, target.port)
        self._host = target.server
        self._stream: BufferedReader | None = None
        self._allowance = allowance
        self._left = most  # bytes
        self._sock: socket = connect(addresses, allowance)

    def secure(self, context: ssl.SSLContext) -> None:
        """Begin to speak TLS."""
        self._sock.setblocking(True)
        self._sock = context.wrap_socket(
            self._sock, server_hostname=self._host, do_handshake_on_connect=False
        )
        self._hurry()
        self._sock.do_handshake()

    def _hurry(self) -> None:
        left_ns = self._allowance.left_ns()
        if left_ns == 0:
            raise TimeoutError
        self._sock.settimeout(left_ns / 1e9)

    def end(self) -> None:
        """Close the connection."""
        self._sock.close()

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, within the time."""
        if self._left <= 0:
            raise ConnectionError("the server sends without end")
        self._hurry()
        count = self._sock.recv_into(buffer)
        self._left -= count
        return count

    # ---- what http.client uses ----

    def sendall(self, data: Any) -> None:
        rest = memoryview(data)
        while rest:
            self._hurry()
            rest = rest[self._sock.send(rest) :]

    def makefile(self, _mode: str) -> BufferedReader:
        # The same one for each response: it may have read the beginning of the next.
        self._stream = self._stream or BufferedReader(_Lent(self))
        return self._stream

    def close(self) -> None:
        """Leave it open: ``http.client`` closes it before the body is read."""


class _Lent(RawIOBase):
    """A ``_Line`` as a stream of bytes."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._line.readinto(buffer)


def _default_context() -> ssl.SSLContext:
    if not _contexts:
        import ssl

        _contexts.append(ssl.create_default_context())
    return _contexts[0]


def _told(error: BaseException) -> str:
    """Return the text of an error: of a certificate, of TLS, of HTTP, of a connection."""
    if why := getattr(error, "verify_message", None):
        return f"the certificate is not trusted: {why}"
    if (reason := getattr(error, "reason", None)) and hasattr(error, "library"):
        return f"no TLS: {str(reason).replace('_', ' ').lower()}"
    name = type(error).__name__
    return told(error) if isinstance(error, OSError) else f"{name}: {error}"


def _text(response: HTTPResponse, data: bytes) -> str:
    charset = response.headers.get_content_charset("utf-8")
    try:
        return data.decode(charset, "replace")
    except (LookupError, UnicodeError):
        return data.decode("utf-8", "replace")


# ---- settings ----


def _read_statuses(problems: Problems, status: Any) -> frozenset[int]:
    several: Any = status if type(status) in (list, tuple, set, frozenset) else [status]
    found: set[int] = set()
    for item in several:
        span = range(item, item + 1) if type(item) is int else item
        # min() and max() would go through a range, however long it is.
        ends = [span[0], span[-1]] if isinstance(span, range) and span else [0]
        if not 100 <= min(ends) <= max(ends) <= 599:
            found.clear()
            break
        found.update(span)
    if not found:
        problems.refuse("status", status, _STATUS)
    return frozenset(found)


def _spans(statuses: frozenset[int]) -> str:
    """Return numbers as text: 200 to 299, 404."""
    spans: list[list[int]] = []
    for status in sorted(statuses):
        if spans and status == spans[-1][1] + 1:
            spans[-1][1] = status
        else:
            spans.append([status, status])
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in spans)


def _read_body(problems: Problems, body: Any, method: str) -> Any:
    allowed = "a string, bytes, a compiled regular expression, or None"
    is_text = type(body) in (str, bytes) and bool(body)
    if body is not None and not (is_text or _is_pattern(body)):
        problems.refuse("body", body, f"{allowed}; it is not empty")
    elif body is not None and method == "HEAD":
        problems.refuse("body", body, "None, since the response to HEAD has no body")
    return body


def _kind(value: object) -> object:
    """Return what is shown of a value that may be a secret."""
    return type(value)


def _is_pattern(body: object) -> bool:
    return isinstance(body, re.Pattern)


def _read_headers(problems: Problems, headers: Any) -> dict[str, str]:
    try:
        given: dict[Any, Any] = dict(headers or {})
    except (TypeError, ValueError):
        problems.refuse("headers", _kind(headers), "a mapping of names to strings")
        return {}
    for name, value in given.items():
        if not (isinstance(name, str) and _TOKEN.fullmatch(name)):
            problems.refuse("headers", name, "names of headers")
        elif name.lower() in _OF_MESSAGE:
            problems.refuse("headers", name, "headers that do not concern the connection")
        elif not (isinstance(value, str) and _VALUE.fullmatch(value)):
            problems.refuse(
                f"headers[{name!r}]", _kind(value), "a string without control characters"
            )
    return given
