"""How long an open breaker tells its callers to wait."""

import pytest

import holdfast as hf


def test_an_open_breaker_tells_nobody_to_wait_longer_than_its_opening_lasts():
    for _ in range(50):  # by the system's clock: the coarse one is behind at nearly every look
        breaker = hf.CircuitBreaker("b", failure_threshold=1, reset_timeout=30)
        breaker.trip()
        with pytest.raises(hf.CircuitOpenError) as caught:
            breaker.call(len, "a")
        assert 29 < caught.value.retry_after <= 30
