"""The jitter generator through its binding, against its model."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from holdfast._native.random import Random
from tests.models import random as model

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
