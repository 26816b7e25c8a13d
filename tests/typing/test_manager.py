"""What type checkers say of calls under a manager: `make types` checks this file."""

import asyncio
from typing import assert_type

import holdfast as hf
from holdfast.manager import presets
from holdfast.manager.presets import Preset

preset = presets.get("dwcp").but(monitoring=False, timeouts={"send": 5.0})
rm = hf.ResilienceManager("typing", presets=[preset, "collector"])


def twice(number: int) -> int:
    return 2 * number


async def thrice(number: int) -> int:
    return 3 * number


@hf.protect("typing-geocoding")
def locate(address: str) -> tuple[float, float]:
    return float(len(address)), 1.0


@rm.operation("send")
async def send(text: str) -> bytes:
    return text.encode()


def test_a_call_under_a_name_has_the_result_of_its_function() -> None:
    assert_type(preset, Preset)
    assert assert_type(rm.execute("send", twice, 3), int) == 6
    assert assert_type(rm.operation("send").call(twice, 3), int) == 6
    assert assert_type(hf.protect("typing-geocoding").call(twice, 3), int) == 6
    assert assert_type(locate("here"), tuple[float, float]) == (4.0, 1.0)


def test_so_has_a_call_that_is_awaited() -> None:
    async def main() -> None:
        assert assert_type(await rm.aexecute("send", thrice, 3), int) == 9
        assert assert_type(await hf.protect("typing-geocoding").acall(thrice, 3), int) == 9
        assert assert_type(await send("here"), bytes) == b"here"

    asyncio.run(main())
