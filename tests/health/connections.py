"""Connections as libraries give them, which note what is done with them."""


class Connection:
    """A connection shaped like those of DB-API 2.0. What is in ``fails`` raises.

    Args:
        fails: By method, such as "execute" or "close", what it raises.
        rows: Whether the answer of a query has rows.
    """

    def __init__(self, fails=(), rows=True):
        self.fails = dict(fails)
        self.rows = rows
        self.done = []

    def note(self, name):
        self.done.append(name)
        if name in self.fails:
            raise self.fails[name]

    def cursor(self):
        self.note("cursor")
        return Cursor(self)

    def rollback(self):
        self.note("rollback")

    def close(self):
        self.note("close")


class Cursor:
    def __init__(self, connection):
        self.connection = connection
        self.description = None

    def execute(self, query):
        self.connection.note(query)
        self.description = [("?column?",)] if self.connection.rows else None

    def fetchone(self):
        self.connection.note("fetchone")
        return (1,)

    def close(self):
        self.connection.note("close cursor")


class AsyncConnection(Connection):
    """The same with coroutines, as psycopg has them; ``cursor`` returns at once."""

    def cursor(self):
        self.note("cursor")
        return AsyncCursor(self)

    async def rollback(self):
        self.note("rollback")

    async def close(self):
        self.note("close")


class AsyncCursor(Cursor):
    async def execute(self, query):
        super().execute(query)

    async def fetchone(self):
        return super().fetchone()

    async def close(self):
        super().close()


class FetchingConnection:
    """A connection shaped like asyncpg's. A query may wait for what is in ``hangs``."""

    def __init__(self, hangs=None):
        self.hangs = hangs
        self.done = []

    def cursor(self, query):
        raise AssertionError("asyncpg's cursors need a transaction")

    async def fetchrow(self, query):
        self.done.append(query)
        if self.hangs is not None:
            await self.hangs.wait()
        return (1,)

    async def close(self):
        self.done.append("close")

    def terminate(self):
        self.done.append("terminate")


class Block:
    """A context manager of a pool, of both kinds, which gives a connection and takes it back."""

    def __init__(self, connection):
        self.connection = connection
        self.left_with = []

    def __enter__(self):
        return self.connection

    def __exit__(self, cls, error, traceback):
        self.left_with.append(cls)
        self.connection.done.append("given back")


class AsyncBlock:
    def __init__(self, connection):
        self.connection = connection

    async def __aenter__(self):
        return self.connection

    async def __aexit__(self, cls, error, traceback):
        self.connection.done.append("given back")


class AwaitableBlock(AsyncBlock):
    """As asyncpg's ``pool.acquire()``: whoever awaits it has to give the connection back."""

    def __await__(self):
        raise AssertionError("awaited, so nothing gives the connection back")
        yield
