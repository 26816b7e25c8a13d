"""From an error to its category: the class leads to a rule, by module and name along the MRO.

A rule is a category, a function of the error, or data for the native gate: ``Numbers``, or a
``Wrapper``, whose category is that of another error inside.

No library is imported: the class of an error says which library it is of. The rules of a library
are read when the first error of it is classified. Elsewhere: the rules (a file for each group of
libraries), what users register (``registered``), and the cache of what was found here (the native
gate).
"""

from __future__ import annotations

from importlib import import_module

from holdfast._native.gate import _classify, _install_rules, _look
from holdfast.categories.category import Category
from holdfast.categories.registered import by_class, ends_of_names, named, registered
from holdfast.categories.rules import Wrapper
from holdfast.categories.texts import of_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from holdfast.categories.rules import Judge, Rule

__all__ = ["classify", "of_class"]

# Which file has the rules of which modules.
_FILES = {
    "standard_library": "builtins asyncio.exceptions asyncio.queues concurrent.futures._base "
    "configparser _csv ftplib http.client imaplib _lzma multiprocessing.context _pickle queue "
    "smtplib socket sqlite3 ssl struct subprocess tarfile urllib.error zipfile zlib "
    "xmlrpc.client holdfast.errors holdfast.resources.errors",
    "http_clients": "aiohttp.client_exceptions aiohttp.http_exceptions httpcore httpcore2 httpx "
    "httpx2 requests.exceptions urllib3.exceptions",
    "databases": "asyncpg.exceptions._base psycopg psycopg_pool psycopg2 psycopg2.pool pymysql.err "
    "redis.exceptions sqlalchemy.exc sqlalchemy.orm.exc valkey.exceptions PEP249",
    "services": "amqp.exceptions billiard.exceptions botocore.exceptions celery.exceptions grpc "
    "kombu.exceptions starlette.exceptions",
    "tasks": "anyio anyio._core._exceptions trio",
}
# The rules of a module by the names of its classes or, before the first question, their file.
_tables: dict[str, dict[str, Rule] | str] = {
    module: file for file, modules in _FILES.items() for module in modules.split()
}

# PEP 249 gives these names to the errors of every database driver.
_ANY_DRIVER = "PEP249"
_DATABASE_ERRORS = {
    *("DataError", "DatabaseError", "IntegrityError", "InterfaceError", "InternalError"),
    *("NotSupportedError", "OperationalError", "ProgrammingError"),
}
# Their class says nothing, so their text is read. What derives from them is another matter.
_PLAIN = (Exception, RuntimeError)


def classify(error: BaseException) -> Category | None:
    """Return the category of an error; None if nothing is known of it.

    The most derived class for which there is a rule decides. The errors of a library that wraps
    others are judged by the error inside.

    Args:
        error: Any exception. A group has the category that all its exceptions have.

    Raises:
        TypeError: A function given to ``register`` returned something else than a category.

    Safe to call from any thread.

    >>> classify(ConnectionResetError())
    <Category.TRANSIENT: 'transient'>
    >>> classify(PermissionError(13, "Permission denied"))
    <Category.PERMANENT: 'permanent'>
    """
    return _classify(error)  # type: ignore[no-any-return]


def of_class(cls: type) -> Rule | None:
    """Return what a class says of its errors: a category, a function of the error, or None."""
    rules: list[Rule] = []
    others = named(cls) if ends_of_names else []
    for base in cls.__mro__:
        module, name = base.__module__, base.__qualname__
        if others or name in ends_of_names or (by_class and base in by_class):
            for given in registered(base, f"{module}.{name}", others):
                if _add(rules, given):
                    return _all_of(rules)
        if (known := _rule_of(module, name)) is not None and _add(rules, known):
            return _all_of(rules)
    if not rules:
        return of_text if cls in _PLAIN else None
    return _all_of(rules)


def _add(rules: list[Rule], rule: Rule) -> bool:
    """Add a rule to those that are asked one after the other; return whether it is the last."""
    if rule not in rules:
        rules.append(rule)
    return type(rule) is Category or type(rule) is Wrapper


def _all_of(rules: list[Rule]) -> Rule:
    """Return one rule for several, of which the first that knows a category decides."""
    return rules[0] if len(rules) == 1 else _first_of(rules)


def _rule_of(module: str, name: str) -> Rule | None:
    """Return the rule of one class, without its bases."""
    try:
        table = _tables.get(module)
    except TypeError:  # a class may have anything for a module
        return None
    if table is None:
        if name.rpartition(".")[2] not in _DATABASE_ERRORS:
            return None
        return _rules_of(_ANY_DRIVER).get("Error")
    return (table if isinstance(table, dict) else _rules_of(module)).get(name)


def _rules_of(module: str) -> dict[str, Rule]:
    """Return the rules of a module by name, from its file when they are needed first."""
    if isinstance(table := _tables[module], str):
        _tables.update(import_module(f"holdfast.categories.{table}").RULES)
    return _tables[module]  # type: ignore[return-value]


def _first_of(rules: list[Rule]) -> Judge:
    """Return a function that asks several rules until one knows a category."""

    def judge(error: BaseException) -> Category | None:
        for rule in rules:
            if (found := _look(rule, error)) is not None:
                return found  # type: ignore[no-any-return]
        return None

    return judge


_install_rules(of_class)
