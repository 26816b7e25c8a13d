"""What is registered of a kind of resource, in plain numbers: a list of amounts, and a limit."""

FULL, ALL_FULL, DONE, HIGH, ALL_HIGH = 0, 1, 2, 4, 8


class Resource:
    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.has: list[int] = []
        self.events = [0, 0, 0, 0, 0]
        self.created = self.refused = 0

    @property
    def active(self) -> int:
        return sum(self.has)

    def is_high(self) -> bool:
        return self.limit is not None and 100 * self.active > 80 * self.limit

    def has_room(self, n: int) -> bool:
        return self.limit is None or self.active + n <= self.limit

    def add(self, n: int, total: "Resource | None") -> int:
        for each, amount, answer in ((self, n, FULL), (total, 1, ALL_FULL)):
            if each is not None and not each.has_room(amount):
                each.refused += 1
                return answer
        answer = DONE
        for each, amount, bit in ((self, n, HIGH), (total, 1, ALL_HIGH)):
            if each is not None:
                was_high = each.is_high()
                each.has.append(amount)
                answer |= bit * (each.is_high() and not was_high)
        self.created += 1
        return answer

    def remove(self, end: int, n: int, total: "Resource | None") -> bool:
        if self.active < n:
            return False
        self.has = [self.active - n]
        if total is not None:
            total.has.pop()
        self.events[end] += 1
        return True

    def count(self, event: int) -> None:
        self.events[event] += 1

    def resize(self, limit: int | None) -> int:
        if limit is not None and self.active > limit:
            return FULL
        was_high, self.limit = self.is_high(), limit
        return DONE | HIGH * (self.is_high() and not was_high)
