"""Text of errors for events, logs and messages: one short line without secrets.

What is taken for a secret: passwords in addresses, the values of keys such as ``password`` and
``token``, authorization headers, long keys, and the parameters of SQL statements. Elsewhere: when
a text is made (policies say).
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "describe_error",
    "describe_result",
    "is_secret_name",
    "one_line",
    "redact",
    "redact_long",
]

MOST = 200  # characters of a text
_MOST_READ = 1000  # that are looked at: patterns may take the square of it
_MOST_LONG = 20_000  # characters of a text of several lines
_HIDDEN = "***"

_KEY = (
    r"password|passwd|passphrase|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key"
    r"|account[-_]?key|signature|credential|cookie|session[-_]?id|(?<![a-z])(?:auth|sig)(?![a-z])|[?&]key(?==)"
)
_QUOTED = r"""\\*"[^"]*"?|\\*'[^']*'?"""
_PATTERNS = (
    # postgres://user:secret@host, redis://:secret@host; not a port and a path
    (r"""(://[^\s/:@"']*:)(?!\d{1,5}[/?#])[^\s"']*@""", rf"\1{_HIDDEN}@"),
    (
        r"""(\bjdbc:oracle:\w+:[^\s/@"']+/)[^\s"']+@""",
        rf"\1{_HIDDEN}@",
    ),  # of Oracle: user/secret@host
    (r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*", _HIDDEN),
    # Authorization: Bearer secret
    (
        rf"(authorization\\{{0,4}}[\"']?\s{{0,4}}[:=]\s{{0,4}})(?:{_QUOTED}|(?:[a-z]+\s+)?[^\s\"',;&]+)",
        rf"\1{_HIDDEN}",
    ),
    (r"""\b(bearer|basic|token)\s+(?=\S*\d|\S{20})[^\s"',;&]+""", rf"\1 {_HIDDEN}"),
    # password=secret, "api_key": "secret"
    (
        rf"""((?:{_KEY})[\w-]{{0,30}}\\{{0,4}}["']?\s{{0,4}}[=:]\s{{0,4}})(?:{_QUOTED}|[^\s"'&,;)}}\]]+)""",
        rf"\1{_HIDDEN}",
    ),
    # --password secret, and a command as a list: '--password', 'secret'
    (
        rf"""((?<![\w-])--?[\w-]{{0,30}}(?:{_KEY})[\w-]{{0,30}}['"]?,?\s+)(?:{_QUOTED}|[^\s"',\]]+)""",
        rf"\1{_HIDDEN}",
    ),
    # What SQLAlchemy tells of a statement, and pydantic of a value: data of the user's users.
    (r"\[parameters: .*", f"[parameters: {_HIDDEN}]"),
    (rf"(\binput_value=)(?:{_QUOTED}|[^,\]]+)", rf"\1{_HIDDEN}"),
    (r"\b[0-9a-f]{32,}\b", _HIDDEN),
    (r"\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*", _HIDDEN),  # a JSON Web Token
    # Base64 and the like: digits, small and capital letters.
    (
        r"(?<![\w+-])(?=[\w+-]*\d)(?=[\w+-]*(?-i:[a-z]))(?=[\w+-]*(?-i:[A-Z]))[\w+-]{24,}={0,2}",
        _HIDDEN,
    ),
)
_NAMED = re.compile(rf"(?:{_KEY}|authorization|^key$)", re.IGNORECASE)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_PIECES = re.compile(rf"[^\n]{{1,{_MOST_READ - 1}}}(?:[\s,;]|\Z)|[^\n]{{1,{_MOST_READ}}}|\n")
_COMPILED = [(re.compile(pattern, re.IGNORECASE), by) for pattern, by in _PATTERNS]


def redact(text: str) -> str:
    """Return a text with ``***`` in the place of what may be a secret.

    >>> redact("postgres://app:hunter2@db:5432/orders refused, password=hunter2")
    'postgres://app:***@db:5432/orders refused, password=***'
    """
    for pattern, by in _COMPILED:
        text = pattern.sub(by, text)
    return text


def one_line(text: str) -> str:
    """Return a text on one line, short and without secrets, whatever it is."""
    whole = len(text) <= _MOST_READ
    text = str.__getitem__(text, slice(_MOST_READ))  # what it holds, whatever a subclass shows
    if not whole:  # what is cut in two may be a secret that is no longer known as one
        text = text[: max(text.rfind(" "), text.rfind("\n"), 0)] or text[:MOST]
    text = redact(" ".join(text.split()))
    if len(text) > MOST or not whole:
        text = text[: MOST - 1] + "…"
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def redact_long(text: str) -> str:
    r"""Return a text of any length without secrets, with its lines, such as a traceback.

    >>> redact_long("first\nlogin failed, token=abc")
    'first\nlogin failed, token=***'
    """
    if len(text) > _MOST_LONG:
        text = text[: _MOST_LONG - 1] + "…"
    text = _PRIVATE_KEY.sub(_HIDDEN, text)
    return "".join(map(redact, _PIECES.findall(text)))


def is_secret_name(name: str) -> bool:
    """Return whether the value of a field with this name may be a secret.

    >>> is_secret_name("db_password"), is_secret_name("retry_after")
    (True, False)
    """
    return _NAMED.search(name) is not None


def describe_error(error: BaseException) -> tuple[str, str]:
    """Return the name of an error's class, with its module, and its text.

    A group of one exception is described by this exception. Nothing that the error's own methods
    raise is passed on, except KeyboardInterrupt and the like.

    >>> describe_error(ConnectionError("refused"))
    ('ConnectionError', 'refused')
    """
    for _ in range(MOST):
        inside = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        if len(inside) != 1:
            break
        error = inside[0]
    return _safely(lambda: _name_of(type(error))), _safely(lambda: str(error))


def describe_result(result: object) -> str:
    """Return what a result was that counts as a failure: its status, or its repr.

    >>> describe_result(503)
    'result 503'
    """
    return _safely(lambda: f"result {_status_of(result)}")


def _name_of(cls: type) -> str:
    # As tracebacks do, without the module of what is built in.
    module, name = cls.__module__, cls.__qualname__
    return name if module == "builtins" else f"{module}.{name}"


def _status_of(result: object) -> str:
    for field in ("status_code", "status"):  # of a response, whose repr may be long
        status = getattr(result, field, None)
        if isinstance(status, int) and not isinstance(status, bool):
            return f"with status {int(status)}"
    if isinstance(result, int) and result.bit_length() > 256:
        return f"of {result.bit_length()} bits"
    return repr(result)


def _safely(make: Callable[[], str]) -> str:
    try:
        return one_line(make())
    except Exception as error:  # noqa: BLE001 - the user's object; the text is about another error
        return f"<{type(error).__name__} in its text>"
