"""What is wrong is said with its file, line, column and key, or with the name of the variable."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr, field_validator

import holdfast as hf
from holdfast.agent.config import (
    CollectorSettings,
    Contradiction,
    Env,
    Seconds,
    Settings,
    load,
)
from holdfast.agent.config.reports import Reports

FROM_1_MS = "a duration from 1ms"
A_DEFAULT_DISAGREES = "allowed a value that closes agrees with"
ABOVE_0 = "a duration above 0"
A_DURATION = 'such as "100ms", "60s" or "5m", or seconds'


def problems(tmp_path, text, model=CollectorSettings, suffix=".yaml", **environ):
    """Return what is wrong, with FILE in the place of the file's name."""
    file = tmp_path / f"error_recovery{suffix}"
    file.write_text(text)
    with pytest.raises(hf.ConfigError) as caught:
        load(model, file, environ=environ)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None  # which would show values
    assert str(caught.value) == "; ".join(caught.value.problems)
    return [one.replace(str(file), "FILE") for one in caught.value.problems]


def of_breaker(line):
    return f"error_recovery:\n  circuit_breaker:\n    {line}\n"


# ---- one value ----


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        ("timeout: 60x", 14, f"got '60x', allowed a duration above 0, {A_DURATION}"),
        ("timeout:   -5s", 16, f"got '-5s', allowed a duration above 0, {A_DURATION}"),
        ("timeout: -5", 14, f"got -5, allowed a duration above 0, {A_DURATION}"),
        ("timeout: 0s", 14, f"got '0s', allowed a duration above 0, {A_DURATION}"),
        ("timeout: true", 14, f"got true, allowed a duration above 0, {A_DURATION}"),
        ("timeout: .inf", 14, f"got '.inf', allowed a duration above 0, {A_DURATION}"),
        ("timeout: 1e999", 14, f"got inf, allowed a duration above 0, {A_DURATION}"),
        (
            "timeout: 40000d",
            14,
            f"got '40000d', allowed a duration above 0, {A_DURATION}: at most 36500d",
        ),
        (
            "timeout: 4e9",
            14,
            f"got 4000000000.0, allowed a duration above 0, {A_DURATION}: at most 36500d",
        ),
        ("timeout: 1:30", 14, f"got '1:30', allowed a duration above 0, {A_DURATION}"),
        ("timeout: [5s]", 14, f"got a list of 1 item, allowed a duration above 0, {A_DURATION}"),
        (
            "timeout: 60 sec",
            14,
            f"got '60 sec', allowed a duration above 0, {A_DURATION}: did you mean \"60s\"?",
        ),
        (
            "timeout:",
            13,
            f"got nothing, allowed {ABOVE_0}, {A_DURATION}; leave the key out for the default",
        ),
    ],
)
def test_a_malformed_duration_is_named_with_its_place(tmp_path, line, column, said):  # YK-15
    assert problems(tmp_path, of_breaker(line)) == [
        f"FILE:3:{column}: error_recovery.circuit_breaker.timeout: {said}"
    ]


@pytest.mark.parametrize("value", ["0", "-1", "1000001", "5.0", "'5'", "yes", "010", "1_000", "5s"])
def test_what_is_no_whole_number_in_the_range_is_named_with_its_place(tmp_path, value):
    (said,) = problems(tmp_path, of_breaker(f"failure_threshold: {value}"))
    assert said.startswith("FILE:3:24: error_recovery.circuit_breaker.failure_threshold: got ")
    assert said.endswith(f"{value}, allowed an integer from 1 to 1000000") or "'" in said


@pytest.mark.parametrize("value", ["yes", "on", "1", "'true'", "TRue"])
def test_only_true_and_false_are_taken_for_a_yes_or_no(tmp_path, value):
    text = f"error_recovery:\n  retry:\n    jitter: {value}\n"
    (said,) = problems(tmp_path, text)
    assert said.startswith("FILE:3:13: error_recovery.retry.jitter: got ")
    assert said.endswith(", allowed true or false")


def test_a_section_that_is_none_is_named(tmp_path):
    (said,) = problems(tmp_path, "error_recovery:\n  timeouts: 5s\n")
    assert said == (
        "FILE:2:13: error_recovery.timeouts: got '5s', allowed a section with the keys "
        "api_call, database_query, redis_operation, concurrent_op"
    )


def test_a_section_in_which_all_is_commented_out_is_empty(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text("error_recovery:\n  retry:\n    # max_retries: 3\n  timeouts: {}\n")
    assert load(CollectorSettings, file, environ={}) == CollectorSettings()
    file.write_text("# nothing at all\n")
    assert load(CollectorSettings, file, environ={}) == CollectorSettings()


# ---- keys ----


def test_an_unknown_key_is_named_with_the_nearest_one(tmp_path):
    text = "error_recovery:\n  circut_breaker:\n    timeout: 5s\n"
    (said,) = problems(tmp_path, text)
    assert said == (
        "FILE:2:3: error_recovery.circut_breaker: got the key 'circut_breaker', allowed a key that "
        "exists: did you mean 'circuit_breaker'?; there are circuit_breaker, retry, timeouts"
    )
    assert problems(tmp_path, "retry: {}") == [
        "FILE:1:1: retry: got the key 'retry', allowed a key that exists; there are error_recovery"
    ]


def test_a_key_that_stands_twice_is_named_with_both_lines(tmp_path):
    text = "error_recovery:\n  timeouts:\n    api_call: 5s\n    api_call: 6s\n"
    assert problems(tmp_path, text) == [
        "FILE:4:5: error_recovery.timeouts.api_call: stands twice, first in line 3"
    ]
    (said,) = problems(tmp_path, "[a]\nb = 1\nb = 2\n", suffix=".toml")
    assert said.startswith("FILE:3:")


@pytest.mark.parametrize("key", ["1", "true", "~", "[a]", "{a: b}", "1.5"])
def test_a_key_that_is_no_text_is_refused(tmp_path, key):
    said = problems(tmp_path, f"? {key}\n: 1\n")
    assert said == ["FILE:1:3: a key is not text; write it in quotes"]


# ---- variables ----


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "x", "got 'x', allowed an integer from 1 to 1000000"),
        ("CIRCUIT_BREAKER_SUCCESS_THRESHOLD", "0", "got 0, allowed an integer from 1 to 1000000"),
        ("RETRY_MAX_ATTEMPTS", "0", "got 0, allowed an integer from 1 to 1000000"),
        ("RETRY_MAX_ATTEMPTS", "3.5", "got 3.5, allowed an integer from 1 to 1000000"),
        ("RETRY_BASE_DELAY", "100 ms", f'0s, {A_DURATION}: did you mean "100ms"?'),
        ("CIRCUIT_BREAKER_TIMEOUT", "never", f"got 'never', allowed {ABOVE_0}, {A_DURATION}"),
        ("API_CALL_TIMEOUT", "0", f"got 0, allowed a duration from 1us, {A_DURATION}"),
        ("API_CALL_TIMEOUT", "null", f"got 'null', allowed a duration from 1us, {A_DURATION}"),
        ("REDIS_OPERATION_TIMEOUT", "", "; unset it to leave it out"),
        ("DATABASE_QUERY_TIMEOUT", "  ", "; unset it to leave it out"),
    ],
)  # fmt: skip
def test_a_malformed_variable_is_named(name, value, said):  # EV-01..09
    with pytest.raises(hf.ConfigError) as caught:
        load(CollectorSettings, environ={name: value})
    (problem,) = caught.value.problems
    assert problem.startswith(f"environment variable {name}: got ")
    assert problem.endswith(said)


def test_a_good_variable_stands_in_for_a_bad_value_of_the_file(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text("error_recovery: {timeouts: {api_call: [what, is, this]}}")
    settings = load(CollectorSettings, file, environ={"API_CALL_TIMEOUT": "3s"})
    assert settings.error_recovery.timeouts.api_call == 3.0


def test_a_bad_variable_is_named_although_the_file_has_a_good_value(tmp_path):
    text = "error_recovery: {timeouts: {api_call: 5s}}"
    (said,) = problems(tmp_path, text, API_CALL_TIMEOUT="fast")
    assert said.startswith("environment variable API_CALL_TIMEOUT: got 'fast', allowed ")


# ---- all at once ----


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_file(tmp_path):
    text = (
        "error_recovery:\n  retry:\n    max_delay: 10ms\n    max_retires: 3\n    jitter: maybe\n"
        "  timeouts:\n    api_call: 5q\n    api_call: 6s\nother: 1\n"
    )
    said = problems(tmp_path, text, RETRY_MAX_ATTEMPTS="7x", API_CALL_TIMEOUT="-1")
    assert [one.partition(": got")[0].partition(": stands")[0] for one in said] == [
        "FILE:3:16: error_recovery.retry.max_delay",
        "FILE:4:5: error_recovery.retry.max_retires",
        "FILE:5:13: error_recovery.retry.jitter",
        "FILE:8:5: error_recovery.timeouts.api_call",
        "FILE:9:1: other",
        "environment variable API_CALL_TIMEOUT",
        "environment variable RETRY_MAX_ATTEMPTS",
    ]


def test_what_contradicts_is_found_beside_other_faults(tmp_path):
    text = "error_recovery:\n  retry:\n    max_delay: 10ms\n    jitter: maybe\n"
    assert [one.partition(", allowed")[0] for one in problems(tmp_path, text)] == [
        "FILE:3:16: error_recovery.retry.max_delay: got '10ms'",
        "FILE:4:13: error_recovery.retry.jitter: got 'maybe'",
    ]


def test_a_value_is_not_compared_with_one_that_is_wrong_itself(tmp_path):
    text = "error_recovery:\n  retry:\n    max_delay: 10ms\n    base_delay: 5 x\n"
    (said,) = problems(tmp_path, text)
    assert said.startswith("FILE:4:17: error_recovery.retry.base_delay: got '5 x', allowed ")


def test_a_file_full_of_faults_makes_a_message_that_can_be_read(tmp_path):
    said = problems(tmp_path, "".join(f"key{n}: {n}\n" for n in range(2000)))
    assert len(said) == 51
    assert said[-1] == "and 1950 more"
    assert said[0].startswith("FILE:1:1: key0: ")


# ---- settings that contradict each other ----


def test_attempts_and_retries_that_differ_are_refused(tmp_path):  # EV-04, YK-06, trap 20
    text = "error_recovery:\n  retry:\n    max_retries: 3\n    max_attempts: 3\n"
    (said,) = problems(tmp_path, text)
    assert said == (
        "FILE:4:19: error_recovery.retry.max_attempts: got 3, "
        "allowed 4, one more than max_retries, or only one of the two"
    )


def test_pauses_that_cannot_be_are_refused(tmp_path):
    text = "error_recovery:\n  retry:\n    base_delay: 2s\n"
    (said,) = problems(tmp_path, text, RETRY_MAX_DELAY="1500ms")
    assert said == (
        "environment variable RETRY_MAX_DELAY: got '1500ms', allowed at least base_delay, 2 seconds"
    )
    (said,) = problems(tmp_path, text.replace("2s", "6s"))  # the preset's longest pause is 5 s
    assert said == (
        "FILE:3:17: error_recovery.retry.base_delay: got '6s', allowed at most max_delay, 5 seconds"
    )


def test_settings_that_contradict_are_refused_without_a_file_too():
    from holdfast.agent.config.collector import RetrySettings

    with pytest.raises(ValueError, match=r"max_delay: allowed at least base_delay"):
        RetrySettings(base_delay=2.0, max_delay=1.0)


# ---- other models ----


class Place(Settings):
    city: Annotated[str, Field(min_length=2)]
    floors: list[int] = Field(default_factory=list)


class Shop(Settings):
    kind: Annotated[Literal["tea", "5"], Env("SHOP_KIND")] = "tea"
    paths: Annotated[list[str], Env("SHOP_PATHS")] = Field(default_factory=list)
    counts: Annotated[list[int], Env("SHOP_COUNTS")] = Field(default_factory=list)
    token: Annotated[SecretStr | None, Env("SHOP_TOKEN")] = None
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    pause: Annotated[float, Seconds(least_ns=10**6, most_ns=60 * 10**9)] = 1.0
    place: Place | None = None
    even: int = 0
    opens: int = 9
    closes: int = 18

    def contradictions(self):
        if self.closes <= self.opens:
            yield Contradiction("closes", f"more than opens, {self.opens}", "opens")

    @field_validator("even")
    @classmethod
    def _is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("an even number")
        return value


def test_what_is_missing_is_named_at_its_section(tmp_path):
    text = "kind: tea\nplace:\n  floors: [1]\n"
    (said,) = problems(tmp_path, text, Shop)
    assert said.startswith("FILE:3:3: place.city: is missing; allowed ")


def test_an_item_of_a_list_is_named_with_its_number(tmp_path):
    text = "place:\n  city: London\n  floors:\n    - 1\n    - two\n"
    (said,) = problems(tmp_path, text, Shop)
    assert said.startswith("FILE:5:7: place.floors[1]: got 'two', allowed ")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kind: coffee", "FILE:1:7: kind: got 'coffee', allowed one of 'tea', '5'"),
        ("share: 0", "FILE:1:8: share: got 0, allowed a number above 0, up to 1"),
        ("closes: 8", "FILE:1:9: closes: got 8, allowed more than opens, 9"),
        (
            "opens: 18",
            f"FILE:1:8: opens: got 18, {A_DEFAULT_DISAGREES}, which must be more than opens, 18",
        ),
        ("even: 3", "FILE:1:7: even: got 3, allowed an even number"),
        ("pause: 2m", f"FILE:1:8: pause: got '2m', allowed {FROM_1_MS} to 1m, {A_DURATION}"),
    ],
)
def test_each_kind_of_field_says_what_it_allows(tmp_path, line, said):
    assert problems(tmp_path, line, Shop) == [said]


def test_a_rule_that_only_pydantic_knows_is_told_in_its_words(tmp_path):
    (said,) = problems(tmp_path, "place: {city: X}", Shop)
    assert said == (
        "FILE:1:15: place.city: got 'X', allowed a value of which this is true: "
        "string should have at least 2 characters"
    )


def test_a_list_in_a_variable_is_separated_by_commas():
    environ = {"SHOP_PATHS": "/, /app,5", "SHOP_COUNTS": "1,2", "SHOP_KIND": "5"}
    shop = load(Shop, environ=environ)
    assert (shop.paths, shop.counts, shop.kind) == (["/", "/app", "5"], [1, 2], "5")
    with pytest.raises(hf.ConfigError, match="environment variable SHOP_COUNTS: got 'x', allowed"):
        load(Shop, environ={"SHOP_COUNTS": "1,x"})


# ---- secrets ----


def test_secrets_are_never_printed(tmp_path):
    secret = "hunter2-hunter2"
    shop = load(Shop, environ={"SHOP_TOKEN": secret})
    assert shop.token is not None
    assert shop.token.get_secret_value() == secret
    assert secret not in f"{shop!r} {shop} {shop._origins} {shop.model_dump()}"
    told = [
        *problems(tmp_path, f"token: [{secret}]", Shop),
        *problems(tmp_path, f"tokn: {secret}", Shop),
        *problems(tmp_path, f"api_key: {secret}", Shop),
        *problems(tmp_path, f"kind: postgres://app:{secret}@db/x", Shop),
        *problems(tmp_path, f"token: {secret}\nkind: [\n", Shop),
        *problems(tmp_path, f"token: '{secret}\n", Shop),
        *problems(tmp_path, f"{secret}\n", Shop),
        *problems(tmp_path, f"token = '{secret}\n", Shop, ".toml"),
        *problems(tmp_path, f"token = {secret}\n", Shop, ".toml"),
        *problems(tmp_path, "even: 1", Shop, SHOP_TOKEN=secret),
    ]
    assert len(told) >= 10
    assert [one for one in told if secret in one] == []


def test_a_model_that_would_show_a_secret_cannot_be_made():
    with pytest.raises(TypeError, match=r"Careless\.password is a secret: its type must be Secret"):

        class Careless(Settings):
            password: str | None = None

    with pytest.raises(TypeError, match=r"Forgetful\.tokens is a secret"):

        class Forgetful(Settings):
            tokens: list[str]


def test_settings_are_equal_wherever_they_come_from_and_cannot_be_changed(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text("kind = '5'")
    loaded = load(Shop, file, environ={})
    assert loaded == Shop(kind="5") == load(Shop, environ={"SHOP_KIND": "5"})
    assert loaded.origin("kind") == f"{file}:1:8"
    assert loaded.origin("share") is None
    with pytest.raises(ValueError, match="frozen"):
        loaded.kind = "tea"


def test_reports_without_problems_raise_nothing():
    Reports().done()
