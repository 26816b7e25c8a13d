"""Every value that is awkward as every argument of a back-off: taken, or refused by name."""

import random

import pytest

import holdfast as hf
from tests.fuzz.test_public_face import SCALARS, named

pytestmark = pytest.mark.fuzz

JITTER = ["jitter", "jitter_mode", "seed"]
ARGUMENTS = {
    hf.Exponential: ["base", "factor", "max", *JITTER],
    hf.Linear: ["base", "increment", "max", *JITTER],
    hf.Fibonacci: ["base", "max", *JITTER],
    hf.Constant: ["delay", *JITTER],
    hf.Decorrelated: ["base", "max", "seed"],
    hf.AdaptiveBackoff: ["backoff", "k", "max"],
}
PLAIN = {"base": 1, "increment": 1, "delay": 1, "backoff": hf.Constant(1)}
# A base above the longest delay is refused by the name of the latter.
REFUSED_AS = {"base": "max"}
HUNDRED_YEARS = 100 * 365 * 86_400

each_value = pytest.mark.parametrize(
    "value", SCALARS, ids=[f"value{i}" for i in range(len(SCALARS))]
)


class Own(hf.Backoff):
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def delay(self, attempt: int, previous: object = None) -> float:
        return self.answer  # type: ignore[return-value]


def made(cls: type[hf.Backoff], **given: object) -> hf.Backoff:
    return cls(**{name: PLAIN[name] for name in ARGUMENTS[cls] if name in PLAIN} | given)


@pytest.mark.parametrize("cls", ARGUMENTS)
@each_value
def test_each_argument_takes_each_value_or_names_it(cls, value):  # trap 49
    for name in ARGUMENTS[cls]:
        try:
            backoff = made(cls, **{name: value})
        except hf.ConfigError as error:
            refused_as = REFUSED_AS.get(name, name)
            named(error, refused_as if str(error).find(f"{refused_as}: got") >= 0 else name)
        else:
            assert repr(backoff)
            assert all(0 <= backoff.delay(n) <= HUNDRED_YEARS for n in (0, 1, 100))


@pytest.mark.parametrize("cls", ARGUMENTS)
@each_value
def test_each_question_is_answered_or_refused_by_name(cls, value):  # trap 49
    backoff = made(cls)
    for name, ask in {
        "attempt": backoff.delay,
        "previous": lambda previous: backoff.delay(1, previous),
    }.items():
        try:
            assert 0 <= ask(value) <= HUNDRED_YEARS
        except (TypeError, ValueError) as error:
            named(error, name)


@each_value
def test_what_is_no_back_off_is_part_of_none(value):
    try:
        assert hf.chain(value).delay(0) == hf.Constant(value).delay(0)  # a constant delay
    except hf.ConfigError as error:
        named(error, "backoffs[0]")
    with pytest.raises(TypeError, match="unsupported operand"):
        hf.Constant(1) + value


@each_value
def test_each_answer_of_a_class_of_ones_own_is_waited_for_or_refused_by_name(value):  # trap 49
    try:
        assert 0 <= (hf.Constant(0) + Own(value)).delay(0) <= HUNDRED_YEARS
    except ValueError as error:
        named(error, "Own.delay")


def test_random_sums_and_chains_answer_within_a_hundred_years(fuzz_seconds):  # trap 49
    chance = random.Random(49)

    def grown(depth: int) -> hf.Backoff:
        if depth == 0 or chance.random() < 0.2:
            return made(chance.choice([cls for cls in ARGUMENTS if cls is not hf.AdaptiveBackoff]))
        parts = [grown(depth - 1) for _ in range(chance.randint(1, 3))]
        how = chance.randrange(3)
        if how == 0:
            return hf.chain(*parts)
        return sum(parts[1:], parts[0]) if how == 1 else hf.AdaptiveBackoff(parts[0], k=1000)

    for _ in range(int(100 * fuzz_seconds)):
        backoff = grown(4)
        assert backoff == eval(repr(backoff), vars(hf))
        for attempt in (0, 1, 2, chance.randrange(2**33)):
            assert 0 <= backoff.delay(attempt, chance.choice([None, 0, 1e10])) <= HUNDRED_YEARS
