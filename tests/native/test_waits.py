"""How long a thread had no processor, as Linux tells it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast._native.waits import read_waits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("579187498 5106100 83\n", (5106100, 83)),
        (f"{2**62} {2**62 + 1} {2**62 + 2}\n", (2**62 + 1, 2**62 + 2)),
        ("0 0 0\n", (0, 0)),
        ("579187498 5106100\n", None),
        ("nothing\n", None),
        ("", None),
        ("7" * 200, None),
    ],
)
def test_a_file_says_how_long_a_thread_waited_and_how_often_it_ran(
    tmp_path: Path, text: str, expected: tuple[int, int] | None
) -> None:
    path = tmp_path / "schedstat"
    path.write_text(text)
    file = os.open(path, os.O_RDONLY)
    try:
        assert read_waits(file) == expected
        assert read_waits(file) == expected  # it is always read from its beginning
    finally:
        os.close(file)


def test_a_file_that_is_not_open_says_nothing() -> None:
    assert read_waits(-1) is None


@pytest.mark.parametrize("file", ["0", None, 2**40])
def test_what_is_no_file_is_refused(file: object) -> None:
    with pytest.raises((TypeError, OverflowError)):
        read_waits(file)  # type: ignore[arg-type]
