"""A port of loopback for a server in another process, which nobody else is given before it listens.

A port that was chosen and let go may be taken by the next connection of any process. Elsewhere:
servers in the process of the test, which let the system choose and keep what they have.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port() -> Iterator[int]:
    """Give a port that is bound and does not listen, so that connections are refused.

    Linux lets a server listen there meanwhile if that sets SO_REUSEADDR as well; most do.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
