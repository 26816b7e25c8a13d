"""A node is told what to do and asked how it is over a control port."""

import asyncio
import json

import pytest

from examples.dwcp_node.control import HOST, Control, ControlError, ControlServer, ask


async def double(number: int) -> int:
    return 2 * number


async def slow() -> str:
    await asyncio.sleep(0.2)
    return "slow"


async def fail() -> None:
    raise PermissionError("not the leader")


COMMANDS = {"double": double, "slow": slow, "fail": fail}


def test_requests_of_one_connection_are_answered_as_each_is_done():
    async def test() -> None:
        server = ControlServer(COMMANDS)
        await server.start()
        node = Control(server.port)
        order = []

        async def asked(do: str, **arguments: int) -> None:
            order.append(await node.ask(do, **arguments))

        await asyncio.gather(asked("slow"), asked("double", number=4), asked("double", number=5))
        assert order == [8, 10, "slow"]
        await node.close()
        await server.close()

    asyncio.run(test())


def test_what_goes_wrong_in_the_node_is_told_with_its_class():
    async def test() -> None:
        server = ControlServer(COMMANDS)
        await server.start()
        node = Control(server.port)
        with pytest.raises(ControlError, match="PermissionError: not the leader") as raised:
            await node.ask("fail")
        assert raised.value.kind == "PermissionError"
        with pytest.raises(ControlError, match="do='dance' is no command; there are: double, fail"):
            await node.ask("dance")
        with pytest.raises(ControlError, match="TypeError"):
            await node.ask("double", letter="x")
        await node.close()
        await server.close()

    asyncio.run(test())


def test_a_node_that_goes_ends_what_waits_and_is_found_again():
    async def test() -> None:
        server = ControlServer(COMMANDS)
        await server.start()
        node = Control(server.port)
        waiting = asyncio.create_task(node.ask("slow"))
        assert await node.ask("double", number=1) == 2
        await server.close()
        with pytest.raises(OSError, match="the node has gone"):
            await waiting
        with pytest.raises(OSError):  # noqa: PT011 - refused
            await node.ask("double", number=1)
        server = ControlServer(COMMANDS, server.port)
        await server.start()
        assert await node.ask("double", number=3) == 6
        await node.close()
        await server.close()

    asyncio.run(test())


def test_an_answer_that_does_not_come_in_time_is_a_timeout():
    async def test() -> None:
        server = ControlServer(COMMANDS)
        await server.start()
        node = Control(server.port)
        with pytest.raises(TimeoutError):
            await node.ask("slow", within=0.01)
        assert await node.ask("double", number=3) == 6  # the late answer is nobody's
        await node.close()
        await server.close()

    asyncio.run(test())


@pytest.mark.parametrize("line", [b"\xff\xfe\n", b"[1, 2]\n", b"7\n", b"{\n", b'{"do": [1]}\n'])
def test_a_line_that_is_no_request_is_answered_with_an_error(line: bytes):
    async def test() -> None:
        server = ControlServer(COMMANDS)
        await server.start()
        reader, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(line)
        assert "error" in json.loads(await reader.readline())
        writer.write(b'{"do": "double", "number": 2}\n')
        assert json.loads(await reader.readline()) == {"id": None, "result": 4}
        writer.close()
        await server.close()

    asyncio.run(test())


def test_a_thread_asks_with_a_connection_of_its_own():
    async def test() -> None:
        server = ControlServer(COMMANDS)
        await server.start()
        assert await asyncio.to_thread(ask, server.port, "double", number=4) == 8
        with pytest.raises(ControlError, match="not the leader"):
            await asyncio.to_thread(ask, server.port, "fail")
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(ask, server.port, "slow", within=0.05)
        await server.close()

    asyncio.run(test())
