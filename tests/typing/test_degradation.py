"""What type checkers say of levels and features: `make types` checks this file."""

from typing import assert_type

from holdfast.degradation import DegradationManager, Level

manager = DegradationManager("typed")
search = manager.component("search")


@search
def find(text: str, *, most: int = 1) -> list[str]:
    return [text] * most


@search(degraded=lambda: 0)
async def count() -> int:
    return 1


def test_levels_and_flags_have_their_types() -> None:
    assert_type(search.level, Level)
    assert_type(manager.overall, Level)
    assert_type(manager.level("search"), Level)
    assert_type(manager.is_enabled("hints"), bool)
    assert_type(manager.feature("hints", search).enabled, bool)
    assert_type(manager.should_degrade(0.1, error_threshold=0.2), Level)


async def test_a_decorated_function_keeps_its_type() -> None:
    assert_type(find("shoes", most=2), list[str])
    assert_type(await count(), int)


def test_a_call_has_the_type_of_its_functions() -> None:
    assert_type(search.execute(len, args=("abc",)), int)
    assert_type(manager.execute("search", str, degraded=str), str)
    assert_type(search.execute_with_fallback({Level.NORMAL: int}), int)
