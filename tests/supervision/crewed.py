"""Components of which a test says what they do, and a supervisor of them on a manual clock."""

from holdfast import ManualClock
from holdfast.supervision import Component, Exit, Supervisor


class Part(Component):
    """Notes its calls in ``calls``, which may be shared: "+name" a start, "-name" a stop.

    Attributes:
        starts, stops: What the next calls raise: an error, or None.
        healthy: What its check says.
    """

    def __init__(self, name, calls=None):
        super().__init__(name)
        self.calls = [] if calls is None else calls
        self.starts = []
        self.stops = []
        self.healthy = True
        self.alive = 0
        self.ends = []
        self.checked = 0

    def watch(self, ended):
        self.ends.append(ended)

    def start(self):
        self.calls.append(f"+{self.name}")
        if self.starts and (error := self.starts.pop(0)) is not None:
            raise error
        self.alive += 1
        assert self.alive == 1, "two of them"

    def stop(self):
        self.calls.append(f"-{self.name}")
        if self.stops and (error := self.stops.pop(0)) is not None:
            raise error
        self.alive = 0

    def end(self, end=None):
        """End by itself, as the newest start."""
        self.alive = 0
        self.ends[-1](Exit() if end is None else end)


class Checked(Part):
    """One with a check of its own, which says ``healthy``."""

    def check(self):
        self.checked += 1
        return self.healthy


class Crewed:
    """A supervisor on a manual clock with parts of these names, and what it has told."""

    def __init__(self, *names, kind=Part, needs=None, settings=None, **of_supervisor):
        self.clock = of_supervisor.pop("clock", None) or ManualClock()
        self.supervisor = Supervisor("crew", clock=self.clock, **of_supervisor)
        self.events = []
        self.calls = []
        self.parts = {}
        self.supervisor.on_event(self.events.append)
        for name in names:
            self.add(kind(name, self.calls), needs=(needs or {}).get(name, ()), **(settings or {}))

    def add(self, part, *, needs=(), **settings):
        self.parts[part.name] = part
        self.supervisor.add(part, depends_on=needs, **settings)
        return part

    def __getitem__(self, name):
        return self.parts[name]

    def state(self, name):
        return self.supervisor.status(name).state

    def states(self):
        return [one.state for one in self.supervisor.status().values()]

    def kinds(self, name=None):
        return [one.kind for one in self.events if name in (None, one.name)]

    def taken(self):
        """Return the calls since the last time, in one string."""
        text = " ".join(self.calls)
        self.calls.clear()
        return text
