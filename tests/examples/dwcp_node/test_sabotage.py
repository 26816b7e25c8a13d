"""What breaks a component really breaks it: its check notices, and a restart mends it."""

from types import SimpleNamespace

from examples.dwcp_node.compression import Compression
from examples.dwcp_node.prediction import Prediction
from examples.dwcp_node.sabotage import FILLING, sabotage
from tests.examples.dwcp_node.nodes import alive, node, nodes


async def drop(_message):
    pass


def test_an_estimate_that_follows_no_longer_is_noticed_and_a_restart_mends_it(tmp_path):
    async def scene():
        async with nodes(tmp_path, "b") as (b,):
            b.handle(FILLING, drop)
            a = node(tmp_path, "a", {"b": ("127.0.0.1", b.port)})
            b.add_peer("a", ("127.0.0.1", 9))
            prediction = Prediction(lambda: a)
            await a.start()
            await prediction.start()
            both = SimpleNamespace(transport=a, prediction=prediction)
            await sabotage(both, "prediction")
            result = await prediction.check()
            assert result.verdict == "failed"
            assert "are not in the estimate" in result.message
            await prediction.stop()
            await prediction.start()
            assert (await prediction.check()).verdict == "passed"
            await prediction.stop()
            await a.stop()

    alive(scene)


async def test_compression_that_loses_bytes_is_noticed_and_a_restart_mends_it():
    compression = Compression()
    await compression.start()
    await sabotage(SimpleNamespace(compression=compression), "compression")
    assert compression.check().verdict == "failed"
    await compression.stop()
    await compression.start()
    assert compression.check().verdict == "passed"
