"""Every error has a code, says what happened, and survives being sent to another process."""

import pickle

import pytest

from holdfast import errors

CODES = {
    errors.CircuitOpenError: "CIRCUIT_OPEN",
    errors.RateLimitedError: "RATE_LIMITED",
    errors.BulkheadFullError: "BULKHEAD_FULL",
    errors.BulkheadTimeoutError: "BULKHEAD_TIMEOUT",
    errors.ShedError: "SHED",
    errors.EmergencyModeError: "EMERGENCY_MODE",
    errors.DeadlineExceededError: "DEADLINE_EXCEEDED",
    errors.OperationCancelledError: "OPERATION_CANCELLED",
    errors.PoolStoppedError: "POOL_STOPPED",
    errors.RetryExhaustedError: "RETRY_EXHAUSTED",
    errors.ConfigError: "INVALID_CONFIG",
    errors.MissingExtraError: "MISSING_EXTRA",
}


@pytest.mark.parametrize(("cls", "code"), CODES.items())
def test_every_error_has_its_code(cls: type[errors.HoldfastError], code: str) -> None:
    # GEN-08
    assert cls.code == code
    assert issubclass(cls, errors.HoldfastError)


def test_every_public_error_class_is_in_the_table_and_no_code_is_used_twice() -> None:
    # GEN-08
    public = {getattr(errors, name) for name in errors.__all__}
    assert public == {*CODES, errors.HoldfastError, errors.Rejected}
    assert len({cls.code for cls in public}) == len(public)


@pytest.mark.parametrize(("cls", "summary"), [
    (errors.CircuitOpenError, "circuit breaker is open"),
    (errors.BulkheadFullError, "bulkhead is full"),
    (errors.BulkheadTimeoutError, "bulkhead wait timeout"),
    (errors.RateLimitedError, "rate limit exceeded"),
    (errors.DeadlineExceededError, "operation timeout"),
    (errors.EmergencyModeError, "system in emergency mode"),
])  # fmt: skip
def test_the_words_of_the_original_sentinels_are_kept(
    cls: type[errors.HoldfastError], summary: str
) -> None:
    # GEN-08
    assert cls.summary == summary


def test_a_config_error_lists_every_problem_also_after_pickling() -> None:
    error = errors.ConfigError("Thing 'x': a: bad; b: worse", ["a: bad", "b: worse"])
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert isinstance(one, ValueError)
        assert one.problems == ("a: bad", "b: worse")
        assert str(one) == "Thing 'x': a: bad; b: worse"


def test_a_config_error_without_a_list_has_its_message_as_the_one_problem() -> None:
    assert errors.ConfigError("a: bad").problems == ("a: bad",)


def test_a_missing_extra_names_the_extra_and_how_to_install_it_also_in_a_copy() -> None:
    error = errors.MissingExtraError("otel", "OpenTelemetry export")
    for one in (error, pickle.loads(pickle.dumps(error)), errors.MissingExtraError(*error.args)):
        assert isinstance(one, ImportError)
        assert (one.extra, one.feature) == ("otel", "OpenTelemetry export")
        assert "pip install 'holdfast[otel]'" in str(one)


def test_errors_are_caught_by_the_builtin_classes_users_expect() -> None:
    assert issubclass(errors.DeadlineExceededError, TimeoutError)
    assert issubclass(errors.PoolStoppedError, RuntimeError)
    assert not issubclass(errors.DeadlineExceededError, errors.Rejected)
