"""What a manual clock means."""


class ManualClock:
    """Shown time does as it is told; policy time only takes the forward steps."""

    def __init__(self, start_ns: int) -> None:
        self.shown_ns = start_ns
        self.policy_ns = start_ns

    def advance_ns(self, d_ns: int) -> None:
        self.shown_ns += d_ns
        self.policy_ns += d_ns

    def set_ns(self, shown_ns: int) -> None:
        self.policy_ns += max(0, shown_ns - self.shown_ns)
        self.shown_ns = shown_ns
