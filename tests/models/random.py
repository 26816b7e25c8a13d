"""SplitMix64 as its authors give it (Steele, Lea and Flood, OOPSLA 2014)."""

from collections.abc import Iterator

MASK = 2**64 - 1


def splitmix64(seed: int) -> Iterator[int]:
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


class Random:
    def __init__(self, seed: int) -> None:
        self.draws = splitmix64(seed)

    def next(self) -> int:
        return next(self.draws)

    def unit(self) -> float:
        """The upper 53 bits of a draw."""
        return (next(self.draws) >> 11) / 2**53

    def below(self, n: int) -> int:
        """Draws that would give some numbers a greater share than others are left out."""
        return next(x for x in self.draws if x >= 2**64 % n) % n

    def seed(self, seed: int) -> None:
        self.draws = splitmix64(seed)
