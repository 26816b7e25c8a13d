"""Errors of the standard library, and those of holdfast itself."""

from __future__ import annotations

import errno

from holdfast.categories.classes import classify
from holdfast.categories.http import category_of_status
from holdfast.categories.rules import (
    LOGIC,
    PERMANENT,
    RESOURCE,
    TRANSIENT,
    Numbers,
    Wrapper,
    attribute,
    each,
    integer,
    text_of,
)
from holdfast.categories.texts import of_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.categories.category import Category
    from holdfast.categories.rules import Rule

__all__ = ["RULES", "of_errno"]


def _numbers(category: Category, names: str) -> dict[int, Category]:
    return {
        number: category
        for name in names.split()
        if (number := getattr(errno, name, None)) is not None
    }


_ERRNOS = {
    **_numbers(
        TRANSIENT,
        "EAGAIN EALREADY EBUSY ECONNABORTED ECONNREFUSED ECONNRESET EDEADLK EHOSTDOWN EHOSTUNREACH "
        "EINPROGRESS EINTR ENETDOWN ENETRESET ENETUNREACH ENOTCONN EPIPE ESHUTDOWN ESTALE "
        "ETIMEDOUT ETXTBSY",
    ),
    **_numbers(
        PERMANENT,
        "EACCES EADDRINUSE EAFNOSUPPORT EEXIST EFBIG EISDIR ELOOP EMLINK EMSGSIZE ENAMETOOLONG "
        "ENODEV ENOENT ENOEXEC ENOPROTOOPT ENOSYS ENOTDIR ENOTEMPTY ENOTSUP ENOTTY ENXIO "
        "EOPNOTSUPP EPERM EPROTONOSUPPORT EPROTOTYPE EROFS ESRCH ECHILD EXDEV",
    ),
    # The local ports of a connection are such a resource as well.
    **_numbers(RESOURCE, "EADDRNOTAVAIL EDQUOT EMFILE ENFILE ENOBUFS ENOLCK ENOMEM ENOSPC"),
    **_numbers(LOGIC, "E2BIG EBADF EDESTADDRREQ EDOM EFAULT EINVAL EISCONN ENOTSOCK ERANGE"),
}


def _of_attempts(error: BaseException) -> Category | None:
    """Return the category of an OSError that has no number, but a text.

    asyncio has one such error for a host with several addresses, with the numbers of several
    errors. A later call may reach the host if it may reach one address.
    """
    if (known := of_text(error)) is not None:
        return known
    numbers = [part.partition("]")[0] for part in text_of(error).split("[errno ")[1:]]
    found = [_ERRNOS.get(int(number)) for number in numbers if number.isdecimal()]
    return TRANSIENT if TRANSIENT in found else next(iter(found), None)


of_errno = Numbers("errno", _ERRNOS, otherwise=_of_attempts)


# ---- the names of hosts ----

# Numbers of glibc, musl and macOS differ, so they are read from the module of this platform.
_NAMES = {"EAI_AGAIN": TRANSIENT, "EAI_SYSTEM": TRANSIENT, "EAI_MEMORY": RESOURCE}


def _of_name(error: BaseException) -> Category | None:
    """Return the category of a name that was not found: "try again" or not."""
    import socket

    number = integer(error, "errno")
    for name, category in _NAMES.items():
        if number is not None and number == getattr(socket, name, None):
            return category
    return PERMANENT if number is not None else of_text(error)


# ---- TLS ----

_ENDED = ("EOF", "BAD_RECORD_MAC", "TIMEOUT", "INTERNAL_ERROR")


def _of_tls(error: BaseException) -> Category:
    """Return transient for a connection that ended or broke; all else is a disagreement."""
    reason = str(attribute(error, "reason") or "").upper()
    text = text_of(error)
    ended = any(word in reason for word in _ENDED) or "timed out" in text or "eof " in text
    return TRANSIENT if ended else PERMANENT


# ---- protocols ----


def _of_http_error(error: BaseException) -> Category | None:
    return category_of_status(integer(error, "code"))


def _of_reply(code: object) -> Category | None:
    """Return transient for 4yz, "the command may be tried again", and permanent for 5yz."""
    if type(code) is not int or not 400 <= code < 600:
        return None
    return TRANSIENT if code < 500 else PERMANENT


def _of_smtp(error: BaseException) -> Category | None:
    return _of_reply(integer(error, "smtp_code"))


def _of_recipients(error: BaseException) -> Category:
    """Return transient if a recipient may be accepted later, as after greylisting."""
    recipients = attribute(error, "recipients")
    replies = recipients.values() if isinstance(recipients, dict) else ()
    codes = [reply[0] for reply in replies if isinstance(reply, tuple) and reply]
    return TRANSIENT if TRANSIENT in map(_of_reply, codes) else PERMANENT


def _of_xmlrpc(error: BaseException) -> Category | None:
    return category_of_status(integer(error, "errcode"))


# ---- SQLite ----

# The primary result codes, by their numbers: https://www.sqlite.org/rescode.html
_SQLITE = {
    **dict.fromkeys((5, 6, 15, 17), TRANSIENT),  # BUSY LOCKED PROTOCOL SCHEMA
    **dict.fromkeys((7, 10, 13), RESOURCE),  # NOMEM IOERR FULL
    **dict.fromkeys((2, 11, 21, 26), LOGIC),  # INTERNAL CORRUPT MISUSE NOTADB
    # ERROR PERM ABORT READONLY INTERRUPT CANTOPEN TOOBIG CONSTRAINT MISMATCH AUTH RANGE
    **dict.fromkeys((1, 3, 4, 8, 9, 14, 18, 19, 20, 23, 25), PERMANENT),
}


# The other bits of an extended code are its details.
_of_sqlite = Numbers("sqlite_errorcode", _SQLITE, mask=0xFF, otherwise=of_text)


# ---- groups, and holdfast ----


def _of_group(error: BaseExceptionGroup[BaseException]) -> Category | None:
    """Return the category that all exceptions of a group have."""
    found = {classify(one) for one in error.exceptions}
    return found.pop() if len(found) == 1 else None


RULES: dict[str, dict[str, Rule]] = {
    "builtins": {
        **each(TRANSIENT, "BlockingIOError ConnectionError InterruptedError TimeoutError"),
        **each(
            PERMANENT,
            "ChildProcessError FileExistsError FileNotFoundError IsADirectoryError "
            "NotADirectoryError PermissionError ProcessLookupError",
        ),
        **each(RESOURCE, "MemoryError"),
        **each(
            LOGIC,
            "ArithmeticError AssertionError AttributeError BufferError ImportError LookupError "
            "NameError NotImplementedError RecursionError ReferenceError StopAsyncIteration "
            "StopIteration SyntaxError SystemError TypeError ValueError",
        ),
        "OSError": of_errno,
        "BaseExceptionGroup": _of_group,
    },
    "asyncio.exceptions": {
        **each(TRANSIENT, "IncompleteReadError"),
        **each(LOGIC, "InvalidStateError LimitOverrunError SendfileNotAvailableError"),
    },
    "asyncio.queues": each(TRANSIENT, "QueueFull"),
    "queue": each(TRANSIENT, "Full"),
    "concurrent.futures._base": {
        **each(PERMANENT, "BrokenExecutor"),  # this executor, that is
        **each(LOGIC, "InvalidStateError"),
    },
    "multiprocessing.context": {
        **each(TRANSIENT, "TimeoutError"),
        **each(PERMANENT, "AuthenticationError BufferTooShort"),
    },
    "subprocess": each(TRANSIENT, "TimeoutExpired"),
    "socket": each(_of_name, "gaierror herror"),
    "ssl": {
        **each(TRANSIENT, "SSLEOFError SSLSyscallError SSLWantReadError SSLWantWriteError"),
        **each(TRANSIENT, "SSLZeroReturnError"),
        **each(PERMANENT, "CertificateError SSLCertVerificationError"),
        "SSLError": _of_tls,
    },
    "http.client": {
        **each(TRANSIENT, "BadStatusLine IncompleteRead RemoteDisconnected"),
        **each(PERMANENT, "InvalidURL LineTooLong UnknownProtocol UnknownTransferEncoding"),
        **each(LOGIC, "ImproperConnectionState"),
    },
    "urllib.error": {
        **each(TRANSIENT, "ContentTooShortError"),
        "HTTPError": _of_http_error,
        "URLError": Wrapper(
            None,
            "reason",
            of_text,
        ),
    },
    "imaplib": each(TRANSIENT, "IMAP4.abort"),
    # Data that cannot be read.
    "_csv": each(LOGIC, "Error"),
    "_lzma": each(LOGIC, "LZMAError"),
    "_pickle": each(LOGIC, "PickleError"),
    "configparser": each(LOGIC, "Error"),
    "struct": each(LOGIC, "error"),
    "tarfile": each(LOGIC, "TarError"),
    "zipfile": each(LOGIC, "BadZipFile"),
    "zlib": each(LOGIC, "error"),
    "ftplib": {**each(TRANSIENT, "error_temp"), **each(PERMANENT, "error_perm error_proto")},
    "smtplib": {
        **each(TRANSIENT, "SMTPServerDisconnected"),
        **each(PERMANENT, "SMTPNotSupportedError"),
        "SMTPRecipientsRefused": _of_recipients,
        "SMTPResponseException": _of_smtp,
    },
    "xmlrpc.client": {"ProtocolError": _of_xmlrpc},
    "sqlite3": {
        **each(_of_sqlite, "DatabaseError OperationalError InternalError"),
        **each(PERMANENT, "DataError IntegrityError NotSupportedError"),
        **each(LOGIC, "InterfaceError ProgrammingError"),
    },
    "holdfast.errors": {
        **each(TRANSIENT, "Rejected"),
        **each(PERMANENT, "PoolStoppedError"),
        "RetryExhaustedError": Wrapper(None),
    },
    "holdfast.resources.errors": each(RESOURCE, "ResourceLimitError"),
}
