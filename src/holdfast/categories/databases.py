"""Errors of databases: SQLAlchemy and drivers for PostgreSQL, MySQL, Redis and Valkey.

A driver has one class for most failures. A code tells them apart, if there is one: the SQLSTATE
of PostgreSQL, the number of MySQL. Otherwise the text does.
"""

from __future__ import annotations

from holdfast._native.gate import _look
from holdfast.categories.rules import (
    LOGIC,
    PERMANENT,
    RESOURCE,
    TRANSIENT,
    Wrapper,
    attribute,
    each,
    in_context,
    text_of,
)
from holdfast.categories.texts import of_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from holdfast.categories.category import Category
    from holdfast.categories.rules import Rule

__all__ = ["RULES", "category_of_sqlstate"]

# Of the SQL standard and https://www.postgresql.org/docs/current/errcodes-appendix.html; which
# are transient, Npgsql says as well (``PostgresException.IsTransient``). A whole code has
# precedence over its class, which is its first two characters.
_STATES = {
    **each(TRANSIENT, "08 40 53300 55006 55P03 57P01 57P02 57P03 57P05 58000 58030 HYT00 HYT01"),
    **each(TRANSIENT, "25006"),  # read-only: after a failover, until the client connects again
    **each(RESOURCE, "53"),
    **each(LOGIC, "24 25 2D 55 XX"),
    **each(
        PERMANENT,
        "03 0A 0L 0P 20 21 22 23 26 28 2B 2F 34 38 39 3B 3D 3F 40002 42 44 54 57014 57P04 58P01 "
        "58P02 F0 HV P0",
    ),
}

# https://dev.mysql.com/doc/mysql-errors/en/; 2000 and above are those of the client.
_MYSQL = {
    **dict.fromkeys(
        # CON_COUNT HANDSHAKE SERVER_SHUTDOWN ABORTING NET_* NEW_ABORTING TOO_MANY_USER LOCK_WAIT
        (
            *(1040, 1043, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1205, 1213, 1226),
            *(2002, 2003, 2006, 2013, 2055, 3572),  # CONN_HOST SERVER_GONE SERVER_LOST NOWAIT
            1836,  # READ_ONLY_MODE, as after a failover
        ),
        TRANSIENT,
    ),
    **dict.fromkeys((1021, 1037, 1038, 1041, 1114, 2008), RESOURCE),  # DISK_FULL and OUT_OF_*
    **dict.fromkeys(
        # ACCESS_DENIED BAD_DB, NULL, keys, tables, columns, syntax, privileges, host; interrupted
        (
            *(1044, 1045, 1046, 1048, 1049, 1054, 1062, 1064, 1142, 1143, 1146, 1216, 1217),
            *(1251, 1290, 1317, 1364, 1406, 1451, 1452, 1698, 2005, 2059, 3024),
        ),
        PERMANENT,
    ),
    **dict.fromkeys((1034, 1035, 2014), LOGIC),  # NOT_KEYFILE and OLD_KEYFILE; out of sync
}


def category_of_sqlstate(state: object) -> Category | None:
    """Return the category of a SQLSTATE, five characters; None if it is unknown."""
    if not isinstance(state, str) or len(state) != 5:
        return None
    return _STATES.get(state) or _STATES.get(state[:2])  # type: ignore[return-value]


def _of_facts(error: Any) -> Category | None:
    """Return the category of what an error of any driver says, by its code or by its text."""
    try:
        states = getattr(error, "sqlstate", None), getattr(error, "pgcode", None)
        args = error.args
    except Exception:  # noqa: BLE001 - the caller's object, of which one attribute may be known
        states = attribute(error, "sqlstate"), attribute(error, "pgcode")
        args = attribute(error, "args")
    for state in states:
        if state is not None and (found := category_of_sqlstate(state)) is not None:
            return found
    number = args[0] if isinstance(args, tuple) and args else None
    if type(number) is int and (found := _MYSQL.get(number)) is not None:
        return found
    return of_text(error)


def _of_any_driver(error: BaseException) -> Category | None:
    """Return the category of an error with a name of PEP 249, of a driver without rules."""
    return _look(_ANY_DRIVER, error)  # type: ignore[no-any-return]


_ANY_DRIVER = Wrapper(None, first=_of_facts)


def _of_lost_connection(error: Any) -> Category | None:
    try:
        return TRANSIENT if error.connection_invalidated is True else None
    except Exception:  # noqa: BLE001 - the caller's object: nothing is known of it then
        return None


def _of_client_of_asyncpg(error: BaseException) -> Category:
    """Return transient for a connection that is closed, and logic for wrong use of it."""
    return of_text(error) or LOGIC


def _of_reply(error: BaseException) -> Category:
    """Return the category of an error that Redis replied, by the word with which it begins."""
    text = text_of(error)
    if text.startswith("oom "):
        return RESOURCE
    return TRANSIENT if text.startswith(_TRY_AGAIN) else PERMANENT


_TRY_AGAIN = ("busy ", "clusterdown ", "loading ", "masterdown ", "noreplicas ", "tryagain ")


def _driver(*, lost: Category | None) -> dict[str, Rule]:
    """Return the rules of a driver: where nothing else is known, its connection was ``lost``."""
    return {
        **each(Wrapper(lost, first=_of_facts), "OperationalError InterfaceError"),
        **each(Wrapper(None, first=_of_facts), "DatabaseError InternalError"),
        **each(Wrapper(PERMANENT, first=_of_facts), "DataError IntegrityError"),
        **each(Wrapper(PERMANENT, first=_of_facts), "NotSupportedError ProgrammingError"),
    }


_POSTGRES = _driver(lost=TRANSIENT)
_POOL = each(TRANSIENT, "PoolTimeout TooManyRequests") | each(LOGIC, "PoolClosed")

_REDIS: dict[str, Rule] = {
    **each(Wrapper(TRANSIENT, in_context), "ConnectionError"),
    **each(TRANSIENT, "BusyLoadingError MaxConnectionsError TimeoutError WatchError"),
    **each(TRANSIENT, "AskError ClusterDownError ReadOnlyError SlotNotCoveredError TryAgainError"),
    **each(PERMANENT, "AuthenticationError AuthorizationError NoPermissionError"),
    **each(PERMANENT, "AuthenticationWrongNumberOfArgsError ExternalAuthProviderError"),
    **each(RESOURCE, "OutOfMemoryError"),
    **each(LOGIC, "DataError InvalidPipelineStack InvalidResponse PubSubError"),
    **each(Wrapper(None), "LockError"),  # a ValueError by name only
    "ResponseError": _of_reply,
}

RULES: dict[str, dict[str, Rule]] = {
    "sqlalchemy.exc": {
        **each(TRANSIENT, "DisconnectionError TimeoutError"),
        **each(Wrapper(TRANSIENT, "orig", _of_lost_connection), "InterfaceError OperationalError"),
        **each(
            Wrapper(PERMANENT, "orig", _of_lost_connection),
            "DBAPIError StatementError",
        ),
        **each(LOGIC, "ArgumentError CircularDependencyError CompileError IdentifierError"),
        **each(LOGIC, "InvalidRequestError"),
        **each(PERMANENT, "MultipleResultsFound NoResultFound NoSuchTableError"),
    },
    "sqlalchemy.orm.exc": each(
        LOGIC, "DetachedInstanceError FlushError ObjectDeletedError UnmappedError"
    ),
    "psycopg": _POSTGRES,
    "psycopg2": _POSTGRES,
    "psycopg2.pool": each(TRANSIENT, "PoolError"),
    "psycopg_pool": _POOL,
    "pymysql.err": _driver(lost=None),
    "asyncpg.exceptions._base": {
        "PostgresError": _of_any_driver,
        "InterfaceError": _of_client_of_asyncpg,
        "ClientConfigurationError": PERMANENT,
        "InternalClientError": LOGIC,
        "TargetServerAttributeNotMatched": TRANSIENT,
    },
    "PEP249": {"Error": _of_any_driver},
    "redis.exceptions": _REDIS,
    "valkey.exceptions": _REDIS,
}
