"""The transport under a component manager: what breaks it is noticed, and another one works on."""

import holdfast as hf
from examples.dwcp_node.compression import Compression
from holdfast.supervision import ComponentManager, ComponentState
from tests.examples.dwcp_node.nodes import alive, break_inbox, node, nodes, take, until


class Made:
    """Makes transports of one node, on one port, and keeps the last."""

    def __init__(self, folder, port, peers):
        self.folder, self.port, self.peers = folder, port, peers
        self.all = []

    def __call__(self):
        self.all.append(node(self.folder, "a", self.peers, port=self.port))
        return self.all[-1]


def manager(made):
    return ComponentManager(
        "a", transport=made, compression=Compression, interval=0.1, backoff=hf.Constant(0.01)
    )


def test_a_transport_that_ends_is_made_anew_started_and_verified(tmp_path):  # MG-02, MG-06, D-MG-4
    async def scene():
        async with nodes(tmp_path, "b") as (b,):
            b.add_peer("a", ("127.0.0.1", 9))
            made = Made(tmp_path, 0, {"b": ("127.0.0.1", b.port)})
            its = manager(made)
            await its.astart()
            try:
                first = made.all[-1]
                b.add_peer("a", ("127.0.0.1", first.port))
                made.port = first.port
                await first.send("b", b"1")
                await b.send("a", b"waits in the inbox")
                # A second node of the name, then gone again: the first one learns that it is over.
                other = node(tmp_path / "other", "a", {"b": ("127.0.0.1", b.port)})
                await other.start()
                await other.send("b", b"2")
                await other.stop()
                await until(lambda: made.all[-1] is not first and made.all[-1].running)
                await until(lambda: its.status()["transport"].state is ComponentState.RUNNING)
                second = made.all[-1]
                assert not first.running
                await second.send("b", b"3")
                assert await take(b, 3) == [b"1", b"2", b"3"]
                message = await second.receive()
                assert (message.payload, message.again) == (b"waits in the inbox", True)
            finally:
                assert await its.astop()
            assert not made.all[-1].running

    alive(scene)


def test_an_inbox_that_fails_makes_the_transport_unhealthy_and_a_new_one_works(tmp_path):
    async def scene():  # MG-04, MG-07
        async with nodes(tmp_path, "b") as (b,):
            b.add_peer("a", ("127.0.0.1", 9))
            made = Made(tmp_path, 0, {"b": ("127.0.0.1", b.port)})
            its = manager(made)
            await its.astart()
            try:
                first = made.all[-1]
                made.port = first.port
                break_inbox(first)
                await until(lambda: made.all[-1] is not first and made.all[-1].running)
                await made.all[-1].send("b", b"1")
                assert await take(b, 1) == [b"1"]
                await until(lambda: its.status()["transport"].state is ComponentState.RUNNING)
            finally:
                assert await its.astop()

    alive(scene)


def test_the_compression_is_checked_and_made_anew():  # MG-02, MG-06
    async def scene():
        compressions = []

        def compression():
            compressions.append(Compression())
            return compressions[-1]

        its = ComponentManager(
            "a", compression=compression, interval=0.05, backoff=hf.Constant(0.01)
        )
        await its.astart()
        try:
            first = compressions[-1]
            await first.stop()
            await until(lambda: compressions[-1] is not first and compressions[-1].running)
        finally:
            assert await its.astop()

    alive(scene)
