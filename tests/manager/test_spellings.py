"""Settings in the words of other systems become the arguments of policies."""

from datetime import timedelta

import pytest

import holdfast as hf
from holdfast.manager import spellings


def made(settings, name="network"):
    """The breaker of these settings, and the time a call through it may take."""
    arguments, limit = spellings.breaker(settings, name)
    return hf.CircuitBreaker(name, **arguments), limit


# ---- breakers ----


def test_the_timeout_of_a_node_limits_a_call_and_its_reset_timeout_the_open_time():
    # CB-10, section 6 rows 3 and 4
    breaker, limit = made(
        {"max_failures": 4, "timeout": 30, "reset_timeout": 60, "half_open_max_requests": 2}
    )
    assert limit == 30
    assert [
        breaker._setting(field)
        for field in (
            "failure_threshold",
            "reset_timeout",
            "half_open_max_calls",
            "success_threshold",
            "failure_reset",
        )
    ] == [4, 60, 2, 2, None]


def test_the_timeout_of_a_collector_is_the_open_time_and_its_reset_timeout_forgets_failures():
    # CB-12, section 6 row 3
    breaker, limit = made(
        {
            "failure_threshold": 50,
            "success_threshold": 2,
            "timeout": 30.0,
            "max_requests": 16,
            "reset_timeout": 90,
        }
    )
    assert limit is None
    assert [
        breaker._setting(field)
        for field in (
            "failure_threshold",
            "success_threshold",
            "reset_timeout",
            "half_open_max_calls",
            "failure_reset",
        )
    ] == [50, 2, 30.0, 16, 90]


@pytest.mark.parametrize("unset", [{}, {"failure_threshold": 0, "timeout": -1, "reset_timeout": 0}])
def test_what_a_collector_leaves_at_nothing_has_its_default(unset):  # CB-12
    arguments, _ = spellings.breaker({"max_requests": 0, **unset})
    assert arguments == {
        "failure_threshold": 5,
        "success_threshold": 3,
        "reset_timeout": 60.0,
        "half_open_max_calls": 10,
        "failure_reset": 300.0,
    }


def test_the_three_times_of_a_breaker_have_three_names_of_their_own():  # section 6 row 3
    arguments, limit = spellings.breaker(
        {"operation_timeout": timedelta(seconds=5), "reset_timeout": 60, "failure_reset": 300}
    )
    assert arguments == {"reset_timeout": 60, "failure_reset": 300}
    assert limit == timedelta(seconds=5)


def test_a_number_of_successes_of_its_own_stands_beside_the_number_of_probes():
    arguments, _ = spellings.breaker({"half_open_max_requests": 3, "success_threshold": 1})
    assert arguments == {"half_open_max_calls": 3, "success_threshold": 1}


def test_the_arguments_of_a_breaker_pass_as_they_are():
    given = {"failure_rate": 0.5, "window": hf.CountWindow(20), "ignore": (KeyError,)}
    assert spellings.breaker(given) == (given, None)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"max_failures": 3, "failure_threshold": 5},
            ("max_failures", "3", "failure_threshold, 5"),
        ),
        ({"timeout": 1, "operation_timeout": 2}, ("timeout", "1", "operation_timeout, 2")),
        (
            {"half_open_max_requests": 1, "half_open_max_calls": 2},
            ("half_open_max_requests", "half_open_max_calls, 2"),
        ),
        ({"max_failures": 5, "max_requests": 10}, ("max_failures", "max_requests")),
        ({"half_open_max_calls": 5, "max_requests": 10}, ("half_open_max_calls", "max_requests")),
        ({"failure_reset": 5, "max_requests": 10}, ("failure_reset", "max_requests")),
        ({"timeout": -1}, ("timeout: got -1",)),
        ({"timeout": "30s"}, ("timeout: got '30s'",)),
        ({"max_failure": 5}, ("max_failure", "max_failures")),
        ({"max_requests": 10, "time_out": 5}, ("time_out", "timeout")),
    ],
)
def test_breakers_that_contradict_themselves_are_refused_with_both_names(settings, words):
    with pytest.raises(hf.ConfigError) as caught:
        spellings.breaker(settings, "network")
    text = str(caught.value)
    assert text.startswith("CircuitBreaker 'network': ")
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"max_failures": 0}, "max_failures: got 0"),
        ({"failure_threshold": 0}, "failure_threshold: got 0"),
        ({"half_open_max_requests": 99}, "half_open_max_requests: got 99"),
        ({"max_requests": 99}, "max_requests: got 99"),
        ({"max_requests": 9, "timeout": "x"}, "timeout: got 'x'"),
        ({"max_requests": 9, "reset_timeout": "x"}, "reset_timeout: got 'x'"),
    ],
)
def test_what_a_breaker_refuses_is_said_in_the_words_of_the_user(settings, field):
    arguments, _ = spellings.breaker(settings)
    with pytest.raises(hf.ConfigError) as caught:
        hf.CircuitBreaker("network", **arguments)
    said = spellings.in_words_of("circuit_breaker", settings, caught.value)
    assert str(said).startswith(f"CircuitBreaker 'network': {field}")
    assert said.problems[0].startswith(field)


def test_two_words_that_say_the_same_are_no_contradiction():
    assert spellings.breaker({"max_failures": 3, "failure_threshold": 3}) == (
        {"failure_threshold": 3},
        None,
    )


# ---- retries ----


@pytest.mark.parametrize("delay", ["initial_delay", "base_delay"])
@pytest.mark.parametrize("factor", ["multiplier", "backoff_factor"])
def test_both_words_for_the_first_delay_and_for_the_factor_are_understood(delay, factor):
    # RT-14, RT-02, section 6 row 7
    arguments = spellings.retry(
        {"max_retries": 3, delay: 0.1, "max_delay": 10, factor: 3.0, "jitter": False}
    )
    retry = hf.Retry("network", **arguments)
    assert retry._setting("attempts") == 4
    assert [retry.backoff.delay(n) for n in range(5)] == pytest.approx([0.1, 0.3, 0.9, 2.7, 8.1])
    assert retry.backoff.delay(9) == 10.0


def test_jitter_adds_up_to_a_tenth_and_errors_of_all_kinds_are_retried():  # RT-06, RT-09
    arguments = spellings.retry({"max_retries": 1, "jitter": True})
    assert arguments == {
        "attempts": 2,
        "on": (Exception,),
        "backoff": hf.Exponential(0.1, 2, 10, jitter=0.1),
    }


def test_a_retry_without_delays_has_those_of_its_class():
    assert spellings.retry({"attempts": 2, "on": OSError}) == {"attempts": 2, "on": OSError}


@pytest.mark.parametrize("first", [30, timedelta(seconds=30)])
def test_a_first_delay_above_the_longest_one_by_default_is_the_longest(first):
    backoff = spellings.retry({"initial_delay": first, "jitter": False})["backoff"]
    assert backoff.delay(5) == 30.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_retries": 3, "attempts": 3}, ("max_retries", "attempts, 3")),
        ({"max_retries": -1}, ("max_retries: got -1",)),
        ({"max_retries": True}, ("max_retries: got True",)),
        ({"base_delay": 1, "initial_delay": 2}, ("base_delay", "initial_delay, 2")),
        ({"multiplier": 1, "backoff_factor": 2}, ("backoff_factor", "multiplier, 1")),
        ({"base_delay": -1}, ("base_delay: got -1",)),
        ({"backoff_factor": 0.5}, ("backoff_factor: got 0.5",)),
        ({"initial_delay": 5, "max_delay": 1}, ("max_delay: got 1",)),
        ({"jitter": 7}, ("jitter: got 7",)),
        ({"backoff": hf.Constant(1), "base_delay": 1}, ("base_delay", "backoff, Constant(1)")),
        ({"max_retry": 3}, ("max_retry", "max_retries")),
    ],
)
def test_retries_that_contradict_themselves_are_refused_with_both_names(settings, words):
    with pytest.raises(hf.ConfigError) as caught:
        spellings.retry(settings, "network")
    text = str(caught.value)
    assert text.startswith("Retry 'network': ")
    assert all(word in text for word in words), text


# ---- the others ----


@pytest.mark.parametrize(
    ("read", "settings", "arguments"),
    [
        (
            spellings.limiter,
            {"requests_per_second": 1000, "burst_size": 100},
            {"rate": 1000, "burst": 100},
        ),
        (
            spellings.adaptive_limiter,
            {"initial_rate": 1000, "min_rate": 100, "target_latency": 0.1},
            {"rate": 1000, "min_rate": 100, "target_latency": 0.1},
        ),
        (
            spellings.bulkhead,
            {"max_concurrent": 100, "max_queue_size": 50, "max_wait_time": 5.0},
            {"max_concurrent": 100, "max_waiting": 50, "max_wait": 5.0},
        ),
        (spellings.timeout, {"timeout": 30.0}, {"duration": 30.0}),
        (spellings.error_budget, {"slo": 0.99, "time_window": 60}, {"slo": 0.99, "window": 60}),
        (
            spellings.latency_budget,
            {"target_latency": 0.1, "percentile": 95, "max_samples": 10},
            {"target": 0.1, "percentile": 95, "samples": 10},
        ),
    ],
)
def test_other_policies_take_both_words_and_refuse_a_third(read, settings, arguments):
    assert read(settings) == arguments
    assert read(arguments) == arguments
    old = next(iter(settings.keys() - arguments.keys()))
    own = next(field for field, value in arguments.items() if value == settings[old])
    with pytest.raises(hf.ConfigError, match=rf"'x': {old}: .* {own}, "):
        read({old: settings[old], own: settings[old] + 1}, "x")
    with pytest.raises(hf.ConfigError, match=f"'x': {own}_: .*{own}"):
        read({f"{own}_": 1}, "x")


def test_what_was_given_is_left_as_it_was():
    settings = {"max_failures": 3, "timeout": 1, "max_retries": 2}
    before = dict(settings)
    spellings.breaker({"max_requests": 1}, "x")
    with pytest.raises(hf.ConfigError, match="max_retries"):
        spellings.breaker(settings, "x")
    assert settings == before
