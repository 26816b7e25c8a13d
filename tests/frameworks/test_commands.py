"""Guarded functions as commands of click, and as tests and fixtures of pytest."""

from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner

from holdfast import CircuitBreaker
from tests.gate.parts import fates

breaker = CircuitBreaker("commands")


def test_a_command_may_stand_over_a_guard_and_options_under_it() -> None:
    own = CircuitBreaker("b")

    @click.command()
    @click.argument("name")
    @own
    @click.option("--times", default=1)
    def greet(name: str, times: int) -> None:
        """Say hello."""
        click.echo(f"hello {name}\n" * times)

    runner = CliRunner()
    assert runner.invoke(greet, ["you", "--times", "2"]).output.count("hello you") == 2
    assert fates(own) == {"succeeded": 1}
    assert greet.name == "greet"
    assert "Say hello." in runner.invoke(greet, ["--help"]).output
    own.force_open()
    assert runner.invoke(greet, ["you"]).exit_code == 1


@pytest.fixture
@breaker
def given(request: Any) -> str:
    return request.node.name


@pytest.fixture
@breaker
def lent(given: str) -> Iterator[list[str]]:
    items = [given]
    yield items
    assert items[1:] == ["used"]


@breaker
def test_a_guarded_test_is_found_and_gets_its_fixtures(lent: list[str], given: str) -> None:
    assert lent == [given]
    lent.append("used")


@pytest.mark.parametrize("n", [1, 2])
@breaker
def test_a_guarded_test_has_its_marks(n: int) -> None:
    assert n in (1, 2)


class TestGuarded:
    @pytest.fixture(autouse=True)
    @breaker
    def ready(self) -> None:
        self.is_ready = True

    @breaker
    def test_a_guarded_method_of_a_class_of_tests_is_found(self) -> None:
        assert self.is_ready
