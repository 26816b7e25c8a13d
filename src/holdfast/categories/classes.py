"""From an error to its category: the class leads to a rule, by module and name along the MRO.

A rule is a category, a function of the error, or a ``Wrapper``, whose category is that of another
error inside.

No library is imported: the class of an error says which library it is of. The rules of a library
are read when the first error of it is classified. Elsewhere: the rules (a file for each group of
libraries), what users register (``registered``), and the cache of what was found here (the native
gate).
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

from holdfast.categories.category import Category
from holdfast.categories.registered import changes, has_registrations, registered
from holdfast.categories.rules import attribute, text_of
from holdfast.categories.texts import category_of_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from holdfast.categories.rules import Judge, Rule

__all__ = ["Wrapper", "classify", "of_class"]

# Which file has the rules of which modules.
_FILES = {
    "standard_library": "builtins asyncio.exceptions asyncio.queues concurrent.futures._base "
    "configparser _csv ftplib http.client imaplib _lzma multiprocessing.context _pickle queue "
    "smtplib socket sqlite3 ssl struct subprocess tarfile urllib.error zipfile zlib "
    "xmlrpc.client holdfast.errors",
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

# A chain of causes may be a circle.
_MOST_CAUSES = 12
# PEP 249 gives these names to the errors of every database driver.
_ANY_DRIVER = "PEP249"
_DATABASE_ERRORS = {
    *("DataError", "DatabaseError", "IntegrityError", "InterfaceError", "InternalError"),
    *("NotSupportedError", "OperationalError", "ProgrammingError"),
}
# Their class says nothing, so their text is read. What derives from them is another matter.
_PLAIN = (Exception, RuntimeError)


def cause_of(error: Any) -> object:
    """Return the explicit cause of an error."""
    return attribute(error, "__cause__")


class Wrapper:
    """The rule of a class of a library that wraps the errors of another one.

    Args:
        default: The category if nothing is known of the errors inside; None if unknown.
        inside: Returns the error inside; anything else than an exception means there is none.
        first: A function of the error itself, whose category has precedence.
    """

    __slots__ = ("default", "first", "inside")

    def __init__(
        self,
        default: Category | None,
        inside: Callable[[Any], object] = cause_of,
        first: Judge | None = None,
    ) -> None:
        self.default = default
        self.inside = inside
        self.first = first

    def __call__(self, error: BaseException) -> Category | None:
        """Return the category of the first error of the chain of which one is known."""
        default = None
        rule: Rule | None = self
        for _ in range(_MOST_CAUSES):
            if type(rule) is Category:
                return rule
            inside: object = cause_of(error)
            if type(rule) is Wrapper:
                if rule.first is not None and (found := rule.first(error)) is not None:
                    return found
                default = default or rule.default
                inside = rule.inside(error)
            elif isinstance(error, BaseExceptionGroup):
                inside = error.exceptions[0]
            elif rule is not None and (found := rule(error)) is not None:  # type: ignore[operator]
                return found
            if not isinstance(inside, BaseException):
                return default
            error = inside
            rule = _rule_inside(type(error), changes())  # type: ignore[arg-type]  # hashable
        return default


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
    rule = of_class(type(error))
    if rule is None or type(rule) is Category:
        return rule
    return rule(error)  # type: ignore[operator]  # what is no category is a function


def of_class(cls: type) -> Rule | None:
    """Return what a class says of its errors: a category, a function of the error, or None."""
    rules: list[Rule] = []
    for base in cls.__mro__:
        module, name = base.__module__, base.__qualname__
        if has_registrations():
            for given in registered(base, f"{module}.{name}"):
                if _add(rules, given):
                    return _all_of(rules)
        if (known := _rule_of(module, name)) is not None and _add(rules, known):
            return _all_of(rules)
    if not rules:
        return _plain if cls in _PLAIN else None
    return _all_of(rules)


def _add(rules: list[Rule], rule: Rule) -> bool:
    """Add a rule to those that are asked one after the other; return whether it is the last."""
    if rule not in rules:
        rules.append(rule)
    return type(rule) is Category or type(rule) is Wrapper


def _all_of(rules: list[Rule]) -> Rule:
    """Return one rule for several, of which the first that knows a category decides."""
    return rules[0] if len(rules) == 1 else _first_of(rules)


@lru_cache(maxsize=256)
def _rule_inside(cls: type, _changes: int) -> Rule | None:
    """Return what ``of_class`` does; the gate keeps only what it says of the outermost class."""
    return of_class(cls)


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


def _plain(error: BaseException) -> Category | None:
    return category_of_text(text_of(error))


def _first_of(rules: list[Rule]) -> Judge:
    """Return a function that asks several rules until one knows a category."""

    def judge(error: BaseException) -> Category | None:
        for rule in rules:
            if type(rule) is Category:
                return rule
            if (found := rule(error)) is not None:  # type: ignore[operator]
                return found
        return None

    return judge
