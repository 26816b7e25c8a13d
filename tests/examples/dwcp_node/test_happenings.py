"""What happens in the nodes is gathered in one place, in order, through deaths and returns."""

import asyncio
import threading
import time

import pytest

from examples.dwcp_node.control import Control, ControlServer
from examples.dwcp_node.happenings import Diary, Happening, Hub


async def until(hub: Hub, who: str, since: float = 0.0) -> Happening:
    return await hub.first(lambda happening: happening.who == who, since=since, within=10.0)


def test_what_a_node_notes_is_followed_and_what_was_noted_before_too():
    async def test() -> None:
        diary = Diary("a")
        diary.note("transport", "unhealthy", "no answer")
        server = ControlServer({"events": diary.read})
        await server.start()
        hub = Hub()
        control = Control(server.port)
        following = asyncio.create_task(hub.follow(control))
        first = await until(hub, "transport")
        assert (first.where, first.kind, first.text) == ("a", "unhealthy", "no answer")
        assert first.by == "transport of node a"
        noting = threading.Thread(target=diary.note, args=("sync", "recovered"))
        noting.start()
        noting.join()
        assert (await until(hub, "sync")).kind == "recovered"
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await control.close()
        await server.close()

    asyncio.run(test())


def test_a_node_that_came_back_as_another_process_is_followed_from_its_beginning():
    async def test() -> None:
        hub = Hub()
        diary = Diary("a")
        for number in range(5):
            diary.note(f"old {number}", "started")
        server = ControlServer({"events": diary.read})
        await server.start()
        control = Control(server.port)
        following = asyncio.create_task(hub.follow(control))
        await until(hub, "old 4")
        await server.close()
        again = Diary("a")
        again.note("new", "started")  # its number is lower than those read before
        server = ControlServer({"events": again.read}, server.port)
        await server.start()
        await until(hub, "new")
        assert len(list(hub.since(0.0))) == 6
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await control.close()
        await server.close()

    asyncio.run(test())


def test_what_was_before_the_harm_is_not_what_followed_from_it():
    async def test() -> None:
        hub = Hub()
        hub.add(Happening(1.0, "a", "transport", "lost"))
        with pytest.raises(TimeoutError):
            await hub.first(lambda _: True, since=2.0, within=0.01)
        hub.add(Happening(3.0, "a", "transport", "restored"))
        hub.add(Happening(2.5, "b", "transport", "lost"))  # known later, happened before
        found = await hub.first(lambda _: True, since=2.0, within=1.0)
        assert (found.where, found.at) == ("b", 2.5)

    asyncio.run(test())


def test_what_the_supervisor_tells_in_its_threads_arrives_in_the_loop():
    async def test() -> None:
        hub = Hub()
        began = time.monotonic()
        telling = threading.Thread(target=hub.add_from_thread, args=("node b", "exited", "why"))
        telling.start()
        heard = await until(hub, "node b", began)
        assert (heard.where, heard.by, heard.words) == (
            "cluster",
            "the supervisor",
            "node b has ended: why",
        )
        telling.join()

    asyncio.run(test())
