"""Which calls a fault strikes, in plain numbers, by the finaliser of SplitMix64."""

MASK = 2**64 - 1


def draw(seed: int, number: int, lane: int) -> int:
    z = (seed + (lane + 1) * 0xD1342543DE82EF95) & MASK
    for _ in range(2):
        z = (z + (number + 1) * 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
    return z


def unit(seed: int, number: int, lane: int) -> float:
    return (draw(seed, number, lane) >> 11) / 2**53


class Chaos:
    def __init__(self, seed: int, probability: float) -> None:
        self.seed, self.probability = seed, probability
        self.calls = self.checked = 0
        self.left: int | None = 0
        self.until = -(2**63)
        self.episode = (-(2**63), -(2**63))

    def arm(self, seed: int, until: int, left: int | None) -> None:
        self.seed, self.until, self.left, self.calls = seed, until, left, 0

    def disarm(self) -> None:
        self.until = -(2**63)
        self.episode = (self.until, self.until)

    def check(self, now: int) -> tuple[bool, int | None]:
        if now >= self.until:
            return False, None
        number, self.calls = self.calls, self.calls + 1
        self.checked += 1
        threshold = int(self.probability * 2**53)
        struck = draw(self.seed, number, 0) >> 11 < threshold
        struck = struck or self.episode[0] <= now < self.episode[1]
        if struck and self.left is not None:
            struck = self.left > 0
            self.left -= struck
        return struck, number

    def give_back(self, number: int, struck: bool) -> None:
        if self.calls == number + 1:
            self.calls = number
        if struck and self.left is not None:
            self.left += 1
