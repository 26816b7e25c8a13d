"""What a running quantile does with a sample, in plain numbers: the position, the step, the run."""

FRACTION = 2**36
MOST_NS = 100 * 365 * 86_400 * 10**9


def scale_of(ns: int) -> int:
    """Whole octaves and, linear in between, what is above them, in 2**-36."""
    x = min(max(ns, 1), MOST_NS)
    octave = x.bit_length() - 1
    return octave * FRACTION + (x - 2**octave) * FRACTION // 2**octave


def ns_of(scale: int) -> int:
    octave, above = divmod(scale, FRACTION)
    return int(2**octave + above * 2**octave // FRACTION)


class Quantile:
    def __init__(self, p: float) -> None:
        self.up = int(p * FRACTION)
        self.down = FRACTION - self.up
        self.scale = self.samples = self.run = 0

    def _move(self, share: int, distance: int) -> int:
        """A sixteenth of an octave, more for the first samples; never beyond the sample."""
        move = share * 8 // (self.samples + 7) if self.samples < 121 else share // 16
        if abs(self.run) > 4 * FRACTION // share:  # so long a run moved it more than four steps
            move *= 4
        return min(move, distance)

    def record(self, ns: int) -> None:
        sample = scale_of(ns)
        if not self.samples:
            self.scale = sample
        elif sample > self.scale:
            self.run = min(max(self.run, 0) + 1, 8191)
            self.scale += self._move(self.up, sample - self.scale)
        elif sample < self.scale:
            self.run = max(min(self.run, 0) - 1, -8191)
            self.scale -= self._move(self.down, self.scale - sample)
        else:
            self.run = 0
        self.samples = min(self.samples + 1, 255)

    def ns(self) -> int | None:
        return ns_of(self.scale) if self.samples else None
