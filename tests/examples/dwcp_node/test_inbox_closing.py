"""An inbox that is closed from two sides at once, as a supervisor and a failure may do."""

import asyncio

import pytest

from examples.dwcp_node.inbox import Inbox, InboxError
from tests.examples.dwcp_node.nodes import alive


def test_an_inbox_can_be_opened_again_after_the_first_of_two_closings_returns(tmp_path):
    async def scene():
        inbox = Inbox(tmp_path / "inbox.db", is_synced=False)
        for _ in range(30):
            await inbox.open()
            await inbox.next_epoch()
            closings = [asyncio.create_task(inbox.close()) for _ in range(3)]
            await asyncio.wait(closings, return_when=asyncio.FIRST_COMPLETED)
            await inbox.open()
            assert await inbox.next_epoch() > 0
            await asyncio.gather(*closings)
            assert await inbox.next_epoch() > 0  # the other closings were those of the old one
            await inbox.close()

    alive(scene)


def test_a_closing_that_was_cancelled_is_finished_by_the_next(tmp_path):
    async def scene():
        inbox = Inbox(tmp_path / "inbox.db", is_synced=False)
        await inbox.open()
        closing = asyncio.create_task(inbox.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await inbox.close()
        with pytest.raises(InboxError, match="is closed"):
            await inbox.next_epoch()
        await inbox.open()
        await inbox.close()

    alive(scene)
