from datetime import timedelta

CONSTANT: int
LINEAR: int
EXPONENTIAL: int
FIBONACCI: int
DECORRELATED: int

def read(attempt: int, previous: float | timedelta | None) -> tuple[int, int]: ...

class Backoff:
    def __init__(
        self,
        kind: int,
        base_ns: int,
        max_ns: int,
        *,
        increment_ns: int,
        factor: float,
        mode: int,
        jitter: float,
        seed: int,
    ) -> None: ...
    def delay(self, attempt: int, previous: float | timedelta | None = None) -> float: ...
    def delay_ns(self, attempt: int, previous_ns: int | None = None) -> int: ...
    def _delay_ns(self, attempt: int, previous_ns: int) -> int: ...
    def _reseed_in_children(self) -> None: ...
    def seed(self, seed: int) -> None: ...
    def nbytes(self) -> int: ...
    def _capsule(self) -> object: ...
