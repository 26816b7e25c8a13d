"""A server and forks: the child holds no port, ends nothing of the parent, and may serve itself."""

from tests.apart import run_apart
from tests.interpreters import forks_beside_threads

pytestmark = forks_beside_threads

START = """
    import os, socket, threading, urllib.request
    import holdfast as hf
    from prometheus_client import CollectorRegistry
    from holdfast.telemetry.prometheus import asgi_app, serve_metrics

    def get(server):
        with urllib.request.urlopen(server.url, timeout=60) as answer:
            return answer.status

    def child(work):
        pid = os.fork()
        if pid == 0:
            try:
                work()
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        return pid

    def ended(pid):
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def test_a_child_does_not_hold_the_port_of_its_parent():
    run_apart(
        START
        + """
    server = serve_metrics(0)
    port = server.port
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)

    def live():
        os.close(writing)
        os.read(reading, 1)

    pid = child(live)
    server.stop()
    try:
        socket.create_connection(("127.0.0.1", port), 5)
    except ConnectionRefusedError:
        pass
    else:
        raise AssertionError("the child listens")
    with serve_metrics(port) as again:
        assert get(again) == 200
    os.close(writing)
    assert ended(pid)
    """
    )


def test_a_server_that_is_kept_nowhere_is_given_up_by_a_child_too():
    run_apart(
        START
        + """
    port = serve_metrics(0).port

    def serves_nothing():
        import gc
        gc.collect()
        sockets = []
        for fd in range(3, 64):
            try:
                sockets.append(os.readlink(f"/proc/self/fd/{fd}"))
            except OSError:
                continue
        assert not any(name.startswith("socket:") for name in sockets), sockets

    if os.path.exists("/proc/self/fd"):
        assert ended(child(serves_nothing))
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).status == 200
    """
    )


def test_stop_in_a_child_has_no_effect_on_the_parent_and_returns():
    run_apart(
        START
        + """
    with serve_metrics(0) as server:

        def stop():
            server.stop()
            server.stop()
            with server:
                pass
            with serve_metrics(0) as own:
                assert get(own) == 200
                assert own.port != server.port

        assert ended(child(stop))
        assert get(server) == 200
    server.stop()
    """
    )


def test_a_child_that_is_forked_during_a_scrape_does_not_hold_the_connection():
    run_apart(
        START
        + """
    entered, free = threading.Event(), threading.Event()

    class Slow:
        def collect(self):
            entered.set()
            assert free.wait(60)
            return []

    registry = CollectorRegistry()
    free.set()
    registry.register(Slow())
    free.clear(), entered.clear()
    server = serve_metrics(0, registry=registry)
    connection = socket.create_connection(("127.0.0.1", server.port), 60)
    connection.sendall(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
    entered.wait(60)
    reading, writing = os.pipe()

    def live():
        connection.close()
        os.close(writing)
        os.read(reading, 1)
        free.set()
        with serve_metrics(0) as own:
            assert get(own) == 200

    pid = child(live)
    free.set()
    connection.settimeout(60)
    answer = b""
    while part := connection.recv(1 << 16):  # ends when no process has the connection open
        answer += part
    connection.close()
    assert answer.startswith(b"HTTP/1.0 200 OK"), answer
    os.close(writing)
    assert ended(pid)
    server.stop()
    """
    )


def test_the_asgi_application_answers_in_a_child_that_was_forked_during_a_scrape():
    run_apart(
        START
        + """
    import asyncio
    entered, free = threading.Event(), threading.Event()
    parent = os.getpid()

    class Slow:
        def collect(self):
            entered.set()
            assert os.getpid() != parent or free.wait(60)
            return []

    registry = CollectorRegistry()
    free.set()
    registry.register(Slow())
    free.clear(), entered.clear()
    app = asgi_app(registry)

    def ask():
        sent = []
        async def send(message):
            sent.append(message)
        scope = {"type": "http", "method": "GET", "headers": []}
        asyncio.run(app(scope, None, send))
        assert sent[0]["status"] == 200

    asking = threading.Thread(target=ask)
    asking.start()
    entered.wait(60)
    assert ended(child(ask))
    free.set()
    asking.join()
    """
    )


def test_the_threads_of_a_server_do_not_keep_the_process_alive():
    run_apart(
        START
        + """
    server = serve_metrics(0)
    waiting = socket.create_connection(("127.0.0.1", server.port), 60)
    assert get(server) == 200
    assert all(one.daemon for one in threading.enumerate() if one is not threading.main_thread())
    waiting.close()
    """
    )
