"""The jitter generator through its binding, against its model."""

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from holdfast._native.random import Random
from tests.models import random as model
from tests.models.random import splitmix64

pytestmark = pytest.mark.stress

seeds = st.integers(0, 2**64 - 1)
# Just above a power of two nearly half of the draws are left out.
bounds = st.one_of(st.integers(1, 10), st.integers(1, 2**64 - 1), st.just(2**63 + 1))


class RandomMachine(RuleBasedStateMachine):
    @initialize(seed=seeds)
    def start(self, seed: int) -> None:
        self.random = Random(seed)
        self.model = model.Random(seed)

    @rule()
    def next(self) -> None:
        assert self.random.next() == self.model.next()

    @rule()
    def unit(self) -> None:
        assert self.random.unit() == self.model.unit()

    @rule(n=bounds)
    def below(self, n: int) -> None:
        assert self.random.below(n) == self.model.below(n)

    @rule(seed=seeds)
    def seed_again(self, seed: int) -> None:  # trap 58: a forked child does
        self.random.seed(seed)
        self.model.seed(seed)


TestRandom = RandomMachine.TestCase
TestRandom.settings = settings.get_profile("machines")


@given(seeds)
def test_it_draws_the_numbers_of_splitmix64(seed: int) -> None:
    random = Random(seed)
    assert [random.next() for _ in range(20)] == list(islice(splitmix64(seed), 20))


@given(seeds)
def test_a_unit_is_the_upper_53_bits_of_a_draw(seed: int) -> None:
    assert Random(seed).unit() == (next(splitmix64(seed)) >> 11) / 2**53
