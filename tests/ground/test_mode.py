"""HOLDFAST_MODE: read once, and refused when it is no mode."""

import pytest

from holdfast import ConfigError, Mode, mode
from holdfast.validation import Problems
from tests.apart import run_apart


@pytest.fixture(autouse=True)
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode, "_of_process", None)


@pytest.mark.parametrize(("text", "expected"), [
    ("enforce", Mode.ENFORCE), ("observe", Mode.OBSERVE), ("off", Mode.OFF),
    (" Observe\n", Mode.OBSERVE), ("", Mode.ENFORCE),
])  # fmt: skip
def test_the_variable_names_the_mode(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: Mode
) -> None:
    monkeypatch.setenv("HOLDFAST_MODE", text)
    assert mode.process_mode() is expected


def test_without_the_variable_policies_enforce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOLDFAST_MODE", raising=False)
    assert mode.process_mode() is Mode.ENFORCE


def test_the_variable_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_MODE", "observe")
    assert mode.process_mode() is Mode.OBSERVE
    monkeypatch.setenv("HOLDFAST_MODE", "off")
    assert mode.process_mode() is Mode.OBSERVE


def test_a_bad_value_names_variable_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOLDFAST_MODE", "on")
    with pytest.raises(ConfigError) as caught:
        mode.process_mode()
    assert caught.value.problems == (
        "HOLDFAST_MODE: got 'on', allowed one of enforce, observe, off",
    )


@pytest.mark.parametrize("value", [Mode.OFF, "off"])
def test_a_policy_has_its_own_mode_where_one_is_given(value: Mode | str) -> None:
    problems = Problems("x")
    assert mode.read_mode(problems, value) is Mode.OFF
    problems.done()


@pytest.mark.parametrize("value", ["on", "OFF", 0, True, 1.5, b"off", [], object])
def test_what_is_no_mode_is_refused(value: object) -> None:
    problems = Problems("x")
    assert mode.read_mode(problems, value) is Mode.ENFORCE  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"mode: got .* allowed one of enforce, observe, off"):
        problems.done()


def test_a_process_started_with_a_bad_mode_learns_of_it_with_its_first_policy() -> None:
    printed = run_apart("""
        import os
        os.environ["HOLDFAST_MODE"] = "sometimes"
        import holdfast
        try:
            holdfast.Bulkhead("b")
        except holdfast.ConfigError as error:
            print(error)
        """)
    assert "HOLDFAST_MODE: got 'sometimes'" in printed
