"""What tests of the face of stamina share: its settings are those of the process."""

from collections.abc import Callable, Iterator

import pytest

from holdfast.compat import stamina
from holdfast.compat.stamina.instrumentation import RetryDetails, set_on_retry_hooks


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    """Begin active, without test mode and without hooks; end with the defaults."""
    set_on_retry_hooks([])
    yield
    stamina.set_active(True)
    stamina.set_testing(False)
    set_on_retry_hooks(None)


@pytest.fixture
def told() -> list[RetryDetails]:
    """What a hook was told of, one retry after the other."""
    details: list[RetryDetails] = []
    set_on_retry_hooks([details.append])
    return details


class Flaky:
    """Fails as often as asked, and counts its calls."""

    def __init__(self, times: int, error: Callable[[], BaseException] = ConnectionError) -> None:
        self.times = times
        self.error = error
        self.calls = 0

    def __call__(self, answer: object = 42) -> object:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error()
        return answer


@pytest.fixture
def flaky() -> type[Flaky]:
    """A function that fails a few times."""
    return Flaky
