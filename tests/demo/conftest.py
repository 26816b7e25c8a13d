"""An upstream in a thread of this process, which answers at once, and an address without one."""

import socket
import threading

import pytest

from holdfast.demo.upstream import HOST, Behaviour, Server


@pytest.fixture
def server():
    with Server(0, Behaviour(0.0, 0.0)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def url(server):
    return f"http://{HOST}:{server.server_port}/"


@pytest.fixture
def dead_url():
    with socket.socket() as held:
        held.bind((HOST, 0))  # bound and not listening: connections are refused
        yield f"http://{HOST}:{held.getsockname()[1]}/"
