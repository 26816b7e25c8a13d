"""What is counted of a component, in plain numbers: a list of its states, and since when."""

STOPPED, UP, DOWN, COOLING, GIVEN_UP = range(5)


class Component:
    def __init__(self) -> None:
        self.states = [(0, STOPPED)]  # from when on, and which
        self.counted = [0, 0, 0, 0, 0]

    @property
    def state(self) -> int:
        return self.states[-1][1]

    def count(self, event: int) -> None:
        self.counted[event] += 1

    def be(self, state: int, now_ns: int) -> None:
        self.states.append((now_ns, state))

    def down_ns(self, now_ns: int) -> int:
        ends = [*[since for since, _ in self.states[1:]], now_ns]
        return sum(
            end - since
            for (since, state), end in zip(self.states, ends, strict=True)
            if state in {DOWN, COOLING, GIVEN_UP}
        )
