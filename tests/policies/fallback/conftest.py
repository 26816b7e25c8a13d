"""What the tests of several modules here ask for."""

import pytest

from tests.policies.fallback.fallbacks import Call, in_task, in_thread


@pytest.fixture(params=[in_thread, in_task])
def call(request: pytest.FixtureRequest) -> Call:
    """Either driver."""
    return request.param
