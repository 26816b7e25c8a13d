"""Which category an error has: by its class, by its number, by its text, by what is inside."""

import asyncio
import concurrent.futures
import errno
import http.client
import io
import json
import pickle
import queue
import smtplib
import socket
import sqlite3
import ssl
import struct
import subprocess
import tarfile
import urllib.error
import xmlrpc.client
import zipfile
import zlib

import pytest

import holdfast as hf
from holdfast.categories import Category, classify
from tests.categories.libraries import real_library


@pytest.mark.parametrize("error", [
    ConnectionError(), ConnectionRefusedError(), ConnectionResetError(), BrokenPipeError(),
    TimeoutError(), concurrent.futures.TimeoutError(), TimeoutError("x"),
    asyncio.IncompleteReadError(b"", 1), asyncio.QueueFull(), queue.Full(),
    OSError(errno.EHOSTUNREACH, "x"), OSError(errno.ENETUNREACH, "x"), OSError(errno.EAGAIN, "x"),
    socket.gaierror(socket.EAI_AGAIN, "x"), ssl.SSLEOFError(), ssl.SSLZeroReturnError(),
    http.client.RemoteDisconnected(), http.client.IncompleteRead(b""),
    http.client.BadStatusLine(""),
    urllib.error.HTTPError("http://x", 503, "x", {}, None),
    urllib.error.URLError(ConnectionRefusedError(errno.ECONNREFUSED, "x")),
    smtplib.SMTPServerDisconnected(), smtplib.SMTPResponseException(451, "x"),
    smtplib.SMTPRecipientsRefused({"a@b": (550, b"unknown"), "c@d": (450, b"greylisted")}),
    xmlrpc.client.ProtocolError("host/RPC2", 503, "x", {}),
    subprocess.TimeoutExpired("x", 1),
    hf.DeadlineExceededError(), hf.BulkheadFullError(), hf.CircuitOpenError(),
], ids=repr)  # fmt: skip
def test_what_may_succeed_later_is_transient(error):  # ER-04
    assert classify(error) is Category.TRANSIENT


@pytest.mark.parametrize("error", [
    OSError(errno.EACCES, "x"), FileNotFoundError(errno.ENOENT, "x"), PermissionError("no"),
    socket.gaierror(socket.EAI_NONAME, "x"), ssl.SSLCertVerificationError(1, "x"),
    ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] x"), http.client.InvalidURL(),
    urllib.error.HTTPError("http://x", 401, "x", {}, None),
    urllib.error.URLError(ssl.SSLCertVerificationError(1, "x")),
    smtplib.SMTPAuthenticationError(535, "x"), concurrent.futures.BrokenExecutor(),
    smtplib.SMTPRecipientsRefused({"a@b": (550, b"unknown")}),
    xmlrpc.client.ProtocolError("host/RPC2", 401, "x", {}),
], ids=repr)  # fmt: skip
def test_what_fails_each_time_is_permanent(error):  # ER-04
    assert classify(error) is Category.PERMANENT


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT]
)
def test_used_up_memory_disk_and_descriptors_are_a_resource(number):  # ER-04
    assert classify(OSError(number, "x")) is Category.RESOURCE
    assert classify(MemoryError()) is Category.RESOURCE
    assert classify(urllib.error.URLError(OSError(number, "x"))) is Category.RESOURCE


def test_threads_that_cannot_be_started_are_a_resource():  # ER-04
    assert classify(RuntimeError("can't start new thread")) is Category.RESOURCE


def error_of_json() -> Exception:
    with pytest.raises(ValueError, match="Expecting") as raised:
        json.loads("{")
    return raised.value


@pytest.mark.parametrize("error", [
    ValueError(), TypeError(), KeyError(), IndexError(), AttributeError(), AssertionError(),
    ZeroDivisionError(), NotImplementedError(), RecursionError(), ImportError(), error_of_json(),
    UnicodeDecodeError("ascii", b"", 0, 1, "x"), asyncio.InvalidStateError(),
    OSError(errno.EBADF, "x"), http.client.CannotSendRequest(), hf.ConfigError("x"),
], ids=repr)  # fmt: skip
def test_a_defect_and_damaged_data_are_logic(error):  # ER-04
    assert classify(error) is Category.LOGIC


class UnheardError(Exception):
    """An error of an application, with a text that would mean something elsewhere."""


@pytest.mark.parametrize("error", [
    UnheardError("connection refused"), Exception("x"), RuntimeError(""), OSError("x"),
    OSError(99999, "x"),
    EOFError(), Warning("x"), KeyboardInterrupt(),
    urllib.error.HTTPError("http://x", 200, "x", {}, None), hf.RetryExhaustedError("r", 1, 1, "x"),
], ids=repr)  # fmt: skip
def test_nothing_is_said_of_what_is_not_known(error):
    assert classify(error) is None


FRAGMENTS = """connection refused, connection reset, connection timeout, network error,
temporary failure, server closed the connection, connection lost, pool limit exceeded,
connection pool exhausted, database is starting up, database is shutting down,
too many connections, connection aborted, broken pipe""".replace("\n", " ").split(", ")


def driver_error(name: str) -> type[Exception]:
    base = type("Error", (Exception,), {"__module__": "no_such_driver"})
    return type(name, (base,), {"__module__": "no_such_driver"})


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_a_text_says_it_where_the_class_does_not(fragment):  # RT-20
    text = f"FATAL: The {fragment.title()} (server 3)"
    of_driver = map(driver_error, ("OperationalError", "InterfaceError"))
    for cls in (OSError, RuntimeError, Exception, *of_driver):
        assert classify(cls(text)) is Category.TRANSIENT, cls


@pytest.mark.parametrize("text", [
    'FATAL: password authentication failed for user "x"', "fe_sendauth: no password supplied",
    "server does not support SSL, but SSL was required",
])  # fmt: skip
def test_a_bad_password_is_permanent_whatever_the_driver(text):
    assert classify(driver_error("OperationalError")(text)) is Category.PERMANENT


def test_a_host_that_refuses_at_each_of_its_addresses_is_transient():  # ER-04
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))  # which listens to nobody
        port = one.getsockname()[1]

        async def connect() -> None:
            async def both(*_: object, **__: object) -> list[tuple[object, ...]]:
                addresses = [("127.0.0.1", port), ("127.0.0.2", port)]
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", one) for one in addresses]

            asyncio.get_running_loop().getaddrinfo = both
            await asyncio.open_connection("two.example", port)

        with pytest.raises(OSError, match="Multiple exceptions") as raised:
            asyncio.run(connect())
    assert raised.value.errno is None
    assert classify(raised.value) is Category.TRANSIENT


def test_several_numbers_in_a_text_are_transient_if_one_is():
    for numbers, category in {
        (errno.EADDRNOTAVAIL, errno.ECONNREFUSED): Category.TRANSIENT,
        (errno.EACCES, errno.EPERM): Category.PERMANENT,
        (99999,): None,
    }.items():
        text = ", ".join(f"[Errno {number}] Connect call failed" for number in numbers)
        assert classify(OSError(f"Multiple exceptions: {text}")) is category


def in_database(*statements: str, path: str = ":memory:") -> Exception:
    connection = sqlite3.connect(path, timeout=0)
    try:
        for statement in statements:
            connection.execute(statement)
    except sqlite3.Error as error:
        return error
    finally:
        connection.close()
    raise AssertionError("no statement failed")


def test_errors_of_sqlite_are_told_apart_by_their_codes(tmp_path):
    path = str(tmp_path / "x.db")
    holder = sqlite3.connect(path)
    holder.execute("begin exclusive")
    locked = in_database("create table x (y)", path=path)
    holder.close()
    (tmp_path / "bad.db").write_bytes(b"no database" * 100)
    full = in_database("pragma max_page_count = 2", *map("create table x{} (y)".format, range(9)))
    assert classify(locked) is Category.TRANSIENT
    assert classify(full) is Category.RESOURCE
    assert classify(in_database("select * from missing")) is Category.PERMANENT
    damaged = in_database("select * from x", path=str(tmp_path / "bad.db"))
    assert classify(damaged) is Category.LOGIC


def test_a_group_has_the_category_that_all_its_errors_have():
    refused, late, defect = ConnectionRefusedError(), TimeoutError(), ValueError()
    assert classify(ExceptionGroup("", [refused, ExceptionGroup("", [late])])) is Category.TRANSIENT
    assert classify(ExceptionGroup("", [refused, defect])) is None


def test_a_circle_of_causes_ends():
    a, b = urllib.error.URLError(None), urllib.error.URLError(None)
    a.reason, b.reason = b, a
    assert classify(a) is None
    group = ExceptionGroup("", [a])
    a.reason = group
    assert classify(group) is None


def test_an_object_that_raises_at_each_question_says_nothing():
    class Odd(urllib.error.HTTPError):
        def __init__(self):
            pass

        def __getattribute__(self, name):
            raise ZeroDivisionError

    assert classify(Odd()) is None


def test_a_class_with_an_odd_module_says_nothing():
    assert classify(type("X", (Exception,), {"__module__": []})()) is None


def test_no_library_is_imported_for_a_question():
    import subprocess
    import sys

    code = (
        "import sys; before = set(sys.modules); from holdfast.categories import classify\n"
        "for module in 'httpx redis.exceptions grpc sqlalchemy.exc botocore.exceptions'.split():\n"
        "    classify(type('ConnectionError', (Exception,), {'__module__': module})())\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*new - sys.stdlib_module_names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    foreign = {name for name in done.stdout.split() if "cython" not in name and name[0] != "_"}
    assert foreign <= {"holdfast"}


@pytest.mark.parametrize("library", ["anyio", "trio"])
def test_streams_of_tasks_break_and_are_closed(library):
    errors = real_library(library)
    assert classify(errors.BrokenResourceError()) is Category.TRANSIENT
    assert classify(errors.ClosedResourceError()) is Category.LOGIC


def test_an_error_of_a_web_framework_has_a_status():
    errors = real_library("starlette.exceptions")
    assert classify(errors.HTTPException(503)) is Category.TRANSIENT
    assert classify(errors.HTTPException(404)) is Category.PERMANENT


@pytest.mark.parametrize(("read", "kind"), [
    (zlib.decompress, zlib.error), (pickle.loads, pickle.UnpicklingError),
    (lambda data: struct.unpack("!i", data), struct.error),
    (lambda data: zipfile.ZipFile(io.BytesIO(data)), zipfile.BadZipFile),
    (lambda data: tarfile.TarFile(fileobj=io.BytesIO(data)), tarfile.ReadError),
])  # fmt: skip
def test_data_that_cannot_be_read_is_logic(read, kind):  # ER-04
    with pytest.raises(kind) as raised:
        read(b"no data of this kind")
    assert classify(raised.value) is Category.LOGIC


def test_a_task_that_is_asked_to_end_tries_nothing_again():
    limits = real_library("billiard.exceptions")
    calls = []

    def work():
        calls.append(1)
        raise limits.SoftTimeLimitExceeded

    with pytest.raises(limits.SoftTimeLimitExceeded):
        hf.Retry("work", backoff=0).call(work)
    assert len(calls) == 1
    # Whoever waits for the task may run it again.
    assert classify(limits.TimeLimitExceeded()) is Category.TRANSIENT


def test_the_rules_are_for_modules_that_their_table_names():
    from holdfast.categories import (
        classes,
        databases,
        http_clients,
        services,
        standard_library,
        tasks,
    )

    for file in (databases, http_clients, services, standard_library, tasks):
        name = file.__name__.rpartition(".")[2]
        assert set(file.RULES) == set(classes._FILES[name].split()), name
