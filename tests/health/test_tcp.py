"""TcpCheck against real ports, which refuse, hang and vanish."""

import asyncio
import contextlib
import errno
import socket
import time

import pytest

import holdfast as hf
from tests.categories import servers
from tests.categories.servers import Server
from tests.health import hostile


def both(check, **settings):
    """Return the verdict of a check that is run in a thread and in a task, and the message."""
    with hostile.no_sockets_left():
        plain = check.run(**settings)
    with hostile.no_sockets_left():
        task = asyncio.run(check.arun(**settings))
    assert plain.verdict == task.verdict
    return plain.verdict, plain.message


@pytest.mark.parametrize("behaviour", [servers.silence, servers.close])
def test_a_port_that_accepts_passes_whatever_it_does_then(behaviour):  # HC-02, HC-11
    with Server(behaviour) as server:
        assert both(hf.TcpCheck("a", "127.0.0.1", server.port)) == ("passed", "")
        assert both(hf.TcpCheck("a", "localhost", server.port)) == ("passed", "")


def test_a_port_that_resets_leaves_no_socket():
    with Server(servers.drop) as server, hostile.no_sockets_left():
        for _ in range(20):
            assert hf.TcpCheck("a", "127.0.0.1", server.port).run().verdict in ("passed", "failed")


def test_a_port_that_refuses_fails_and_the_message_names_it():
    with servers.refused_port() as port:
        verdict, message = both(hf.TcpCheck("a", "127.0.0.1", port))
    assert (verdict, message) == (
        "failed",
        f"cannot connect to 127.0.0.1:{port}: Connection refused",
    )


def test_a_port_that_hangs_fails_when_the_time_is_up():  # HC-01, D-HC-1
    with hostile.backlogged_port() as port, hostile.seconds(30):
        check = hf.TcpCheck("a", "127.0.0.1", port, timeout=0.15)
        assert both(check) == (
            "failed",
            f"cannot connect to 127.0.0.1:{port}: took longer than 0.15 s",
        )
        assert asyncio.run(check.arun()).message == "took longer than 0.15 s"


def test_a_cancelled_check_leaves_no_socket():
    async def main():
        task = asyncio.create_task(check.arun())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with hostile.backlogged_port() as port, hostile.no_sockets_left():
        check = hf.TcpCheck("a", "127.0.0.1", port)
        asyncio.run(main())


def test_a_port_far_away_is_waited_for_without_blocking_the_loop():
    async def main():
        run = asyncio.create_task(check.arun())
        await asyncio.sleep(0.05)
        assert not run.done()
        with contextlib.ExitStack() as taken:  # the queue has room again
            for _ in range(16):
                listening.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    taken.enter_context(listening.accept()[0])
        return (await run).verdict

    with socket.socket() as listening, contextlib.ExitStack() as held:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        check = hf.TcpCheck("a", *listening.getsockname(), timeout=30)
        assert asyncio.run(main()) == "passed"


# ---- hosts with several addresses ----


def test_one_of_several_addresses_is_enough(monkeypatch):
    with Server(servers.silence) as server, servers.refused_port() as refused:
        places = [("127.0.0.1", refused), ("127.0.0.1", server.port)]
        with hostile.resolved(monkeypatch, *places) as name:
            assert both(hf.TcpCheck("a", name, 1)) == ("passed", "")


def test_an_address_that_hangs_does_not_use_up_the_time_of_the_others(monkeypatch):
    with hostile.backlogged_port() as hangs, Server(servers.silence) as server:
        places = [("127.0.0.1", hangs), ("127.0.0.1", hangs), ("127.0.0.1", server.port)]
        with hostile.resolved(monkeypatch, *places) as name, hostile.seconds(30):
            assert both(hf.TcpCheck("a", name, 1, timeout=20)) == ("passed", "")
            assert both(hf.TcpCheck("a", name, 1, timeout=0.5)) == ("passed", "")


def test_the_first_error_of_several_addresses_is_told(monkeypatch):
    with servers.refused_port() as refused, hostile.backlogged_port() as hangs:
        with hostile.resolved(monkeypatch, ("127.0.0.1", refused), ("127.0.0.1", refused)) as name:
            verdict = both(hf.TcpCheck("a", name, 1))
            assert verdict == ("failed", "cannot connect to several.example:1: Connection refused")
        with hostile.resolved(monkeypatch, ("127.0.0.1", hangs), ("127.0.0.1", refused)) as name:
            told = "cannot connect to several.example:1: took longer than 0.2 s"
            assert both(hf.TcpCheck("a", name, 1), timeout=0.2) == ("failed", told)


def test_the_families_of_a_host_take_turns(monkeypatch):
    from holdfast.health.connecting import addresses_of

    places = [("::1", 1), ("::1", 2), ("::1", 3), ("127.0.0.1", 4)]
    with hostile.resolved(monkeypatch, *places) as name:
        ports = [address[1] for _, address in addresses_of(name, 1)]
    assert ports == [1, 4, 2, 3]


def test_an_address_of_ipv6_is_connected_to(require_real):
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        require_real(f"no IPv6 on this machine: {error}")
    with listening:
        port = listening.getsockname()[1]
        assert both(hf.TcpCheck("a", "::1", port)) == ("passed", "")
        assert both(hf.TcpCheck("a", "[::1]", port)) == ("passed", "")
    verdict, message = both(hf.TcpCheck("a", "::1", port))
    assert (verdict, message) == ("failed", f"cannot connect to [::1]:{port}: Connection refused")


@pytest.mark.parametrize(
    "error", [socket.gaierror(socket.EAI_NONAME, "Name unknown"), socket.gaierror(-3, "Try again")]
)
def test_a_name_that_cannot_be_found_fails(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    told = f"cannot connect to db.example:1: {error.strerror}"
    assert both(hf.TcpCheck("a", "db.example", 1)) == ("failed", told)


def test_a_slow_look_up_does_not_block_the_event_loop(monkeypatch):
    lookup = socket.getaddrinfo
    turns = []

    def slow(*args, **more):
        if not more.get("flags"):
            time.sleep(0.1)
        return lookup(*args, **more)

    async def main():
        run = asyncio.create_task(hf.TcpCheck("a", "localhost", server.port).arun())
        while not run.done():
            turns.append(await asyncio.sleep(0.005))
        return run.result().verdict

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with Server(servers.silence) as server:
        assert asyncio.run(main()) == "passed"
    assert len(turns) > 3


# ---- what proves nothing ----


def test_a_process_without_descriptors_proves_nothing_of_others():  # trap 62
    with Server(servers.silence) as server:
        check = hf.TcpCheck("a", "127.0.0.1", server.port)

        async def main():
            with hostile.few_descriptors():
                return await check.arun()

        with hostile.few_descriptors():
            plain = check.run()
        for result in (plain, asyncio.run(main())):
            assert result.verdict == "unproven"
            assert result.message == "this process cannot open a socket: Too many open files"


def _no_address_for(monkeypatch, *kinds):
    """Have the system find no address for our end of sockets of these kinds."""

    class Bare(socket.socket):
        def connect_ex(self, address):
            return errno.EADDRNOTAVAIL if self.type in kinds else super().connect_ex(address)

        def connect(self, address):
            if self.type in kinds:
                raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
            super().connect(address)

    monkeypatch.setattr(socket, "socket", Bare)


def test_a_machine_without_a_free_port_proves_nothing_of_others(monkeypatch):  # trap 62
    told = "this process cannot open a socket: no local port is free"
    with Server(servers.silence) as server, monkeypatch.context() as patched:
        _no_address_for(patched, socket.SOCK_STREAM)
        with hostile.resolved(monkeypatch, ("127.0.0.1", 1), ("127.0.0.1", server.port)) as name:
            for host in ("127.0.0.1", "localhost", name):
                assert both(hf.TcpCheck("a", host, server.port)) == ("unproven", told)
        assert hf.HttpCheck("a", server.url).run().message == told


def test_a_machine_without_an_address_of_the_family_cannot_connect(monkeypatch):
    _no_address_for(monkeypatch, socket.SOCK_STREAM, socket.SOCK_DGRAM)
    told = "cannot connect to 127.0.0.1:1: Cannot assign requested address"
    assert both(hf.TcpCheck("a", "127.0.0.1", 1)) == ("failed", told)


def test_a_socket_that_meets_itself_is_nobody_who_listens(monkeypatch):
    class Meeting(socket.socket):
        def connect_ex(self, address):
            if self.getsockname()[1] != address[1]:  # the system chooses it, now and then
                self.bind(address)
            return super().connect_ex(address)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(socket, "socket", Meeting)
    verdict, message = both(hf.TcpCheck("a", "127.0.0.1", port))
    assert verdict == "failed"
    assert message.endswith("nobody listens: the socket met itself")


# ---- settings ----


def test_a_slow_connection_is_degraded():
    with Server(servers.silence) as server:
        check = hf.TcpCheck("a", "127.0.0.1", server.port, degraded_after=1e-9)
        verdict, message = both(check)
        assert verdict == "degraded"
        assert message.endswith(" s, more than 1e-09 s")
        check = hf.TcpCheck("a", "127.0.0.1", server.port, degraded_after=60)
        assert both(check) == ("passed", "")
        assert check.run().details["seconds"] < 60


def test_an_address_is_checked_in_a_task_and_a_name_in_a_thread():
    assert hf.TcpCheck("a", "127.0.0.1", 80).is_async
    assert hf.TcpCheck("a", "[::1]", 80).host == "::1"
    named = hf.TcpCheck("a", "db.example", 80)
    assert (named.is_async, named.host, named.port) == (False, "db.example", 80)


@pytest.mark.parametrize(
    "host",
    ["", "http://db", "db:80", "a b", "user@db", None, "a" * 300, "a..b", "x\n", "[db]x", ":::"],
)
def test_a_host_that_cannot_be_one_is_refused(host):
    with pytest.raises(hf.ConfigError, match=r"host: got .*, allowed a host name, or an address"):
        hf.TcpCheck("a", host, 80)


@pytest.mark.parametrize("port", [0, 65536, "80", None, True])
def test_a_port_that_cannot_be_one_is_refused(port):
    with pytest.raises(hf.ConfigError, match=r"port: got .*, allowed an integer from 1 to 65535"):
        hf.TcpCheck("a", "db", port)
