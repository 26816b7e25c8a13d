"""One scenario while it is played: it waits for what has to follow, makes sure, and tells.

Elsewhere: the scenarios themselves (``scenarios``), and what they are played on (``stage``).
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from examples.market_collector.report import Counts
from examples.story import Teller, WrongError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from random import Random

    from examples.market_collector.happenings import Happening
    from examples.market_collector.report import Errors, Report, Story
    from examples.market_collector.stage import Stage

    Match = Callable[[Happening], bool]

NOTICED_WITHIN = 30.0  # also on a machine that is busy with other things
RECOVERED_WITHIN = 60.0
_LOOK_EVERY = 0.02
_ROUNDS = 5  # that are measured
_SLOWED = 0.75  # a rate below this share of the calm one is slower
_TOLERATED = 2.0  # rounds that may be missed besides, in a time in which few are made
_MEASURED = 6  # times, before an exchange is called slowed: the machine is shared


class _Rounds(NamedTuple):
    """How many rounds each worker had made at a moment."""

    at: float
    made: Mapping[str, int]


class Scene(Teller[Counts]):
    """What a scenario has at hand. Used by one thread.

    Attributes:
        stage: What is harmed.
        random: Chooses what is harmed.
    """

    def __init__(self, stage: Stage, report: Report, story: Story, random: Random) -> None:
        super().__init__(report, story)
        self.stage = stage
        self.random = random
        self._first = 0
        self._filled = 0
        self._errors: Errors | None = None
        self._calm: Mapping[str, float] = {}
        self._breaking: _Rounds | None = None
        self._noticed: _Rounds | None = None

    # ---- choosing ----

    def any_exchange(self) -> str:
        """Return one of the exchanges."""
        return self.random.choice(self.stage.names)

    def others(self, *harmed: str) -> list[str]:
        """Return the exchanges that are not harmed."""
        return [name for name in self.stage.names if name not in harmed]

    # ---- the first moments ----

    def breaking(self) -> float:
        """Return the time at which something is broken next: from here on rounds are counted."""
        self._breaking, self._noticed = self._rounds(), None
        return self._breaking.at

    def saw(self, by: str, what: str, at: float | None = None) -> None:
        """Tell that somebody has noticed, at that time or at this moment."""
        if self._noticed is None:
            self._noticed = self._rounds()
        super().saw(by, what, at)

    def _rounds(self) -> _Rounds:
        made = {name: self.stage.worker(name).rounds for name in self.stage.names}
        return _Rounds(time.monotonic(), made)

    def _missed(self, names: Iterable[str]) -> list[str]:
        """Return which exchanges made too few rounds until it was noticed, and how few."""
        began, ended = self._breaking, self._noticed
        if began is None or ended is None:
            return []
        due = {name: self._calm[name] * (ended.at - began.at) for name in names}
        made = {name: ended.made[name] - began.made[name] for name in due}
        return [
            f"{name} made {made[name]} rounds instead of {due[name]:.0f}"
            for name in due
            if made[name] < _SLOWED * due[name] - _TOLERATED
        ]

    # ---- waiting ----

    def noticed(self, match: Match, within: float = NOTICED_WITHIN) -> Happening:
        """Wait until somebody has noticed, and tell who."""
        happening = self._wait("nobody has noticed", match, within)
        self.saw(happening.by, happening.words, happening.at)
        return happening

    def done(self, match: Match, within: float = RECOVERED_WITHIN) -> Happening:
        """Wait until something was done about it, and tell what."""
        happening = self._wait("nothing was done", match, within)
        self.did(happening.by, happening.words, happening.at)
        return happening

    def recovered(self, match: Match, within: float = RECOVERED_WITHIN) -> Happening:
        """Wait until somebody says that it works again, and tell who."""
        happening = self._wait("it has not recovered", match, within)
        self.verified(f"by {happening.by}: {happening.words}", happening.at)
        return happening

    def eventually(self, ask: Callable[[], object], otherwise: str, within: float) -> object:
        """Ask until the answer is true, and return it.

        Raises:
            WrongError: It was not, for so many seconds.
        """
        until = time.monotonic() + within
        while not (answer := ask()):
            if time.monotonic() > until:
                raise WrongError(f"{otherwise} within {within:g} s: {answer!r}")
            time.sleep(_LOOK_EVERY)
        return answer

    # ---- before ----

    def calm(self) -> None:
        """Wait until all is well, and note how things are then."""
        self.working(*self.stage.names)
        for _ in range(_MEASURED):  # until the machine is calm, too
            self._calm = self.stage.rates(self.stage.names, _ROUNDS)
            if min(self._calm.values()) >= _SLOWED * self.stage.rate:
                break
        self._first = self.stage.minute()
        self._filled = self.stage.filled()
        self._errors = self.stage.errors()

    # ---- meanwhile ----

    def undisturbed(self, *harmed: str) -> None:
        """Make sure that the exchanges that are not harmed are collected as before."""
        others = self.others(*harmed)
        errors = {name: self.stage.worker(name).errors for name in others}
        rates = dict.fromkeys(others, 0.0)  # the best of each: a busy machine slows some by turns
        for _ in range(_MEASURED):
            now = self.stage.rates(others, _ROUNDS)
            rates = {name: max(now[name], rates[name]) for name in others}
            if all(rates[name] >= _SLOWED * self._calm[name] for name in others):
                break
        slowed = [name for name in others if rates[name] < _SLOWED * self._calm[name]]
        whose = " of the others" if harmed else ""
        said = ", ".join(f"{name} {rates[name]:.1f}" for name in others)
        before = ", ".join(f"{self._calm[name]:.1f}" for name in others)
        self.require(not slowed, f"slower than before: {', '.join(slowed)} ({said} rounds/s)")
        failed = {
            name: more for name in others if (more := self.stage.worker(name).errors - errors[name])
        }
        self.require(not failed, f"prices of other exchanges were not collected: {failed}")
        missed = self._missed(others)
        self.require(not missed, f"until it was noticed: {', '.join(missed)}")
        if not (slowed or failed or missed):
            self.verified(
                f"all {len(others) * self.stage.symbols} symbols{whose} are collected; "
                f"rounds/s: {said} (before: {before})"
            )

    # ---- afterwards ----

    def working(self, *names: str) -> None:
        """Wait until two rounds of each exchange have found all prices, with a closed breaker."""
        until = time.monotonic() + RECOVERED_WITHIN
        for name in names:
            while not self._works(name):
                if time.monotonic() > until:
                    raise WrongError(
                        f"{name} is not collected within {RECOVERED_WITHIN:g} s: "
                        f"{self.stage.states()}"
                    )

    def _works(self, name: str) -> bool:
        before = self.stage.worker(name)
        self.eventually(
            lambda: self.stage.worker(name).rounds >= before.rounds + 2,
            f"{name} makes no rounds",
            RECOVERED_WITHIN,
        )
        return (
            self.stage.worker(name).errors == before.errors
            and self.stage.worker(name).skipped_rounds == before.skipped_rounds
            and not self.stage.is_open(name)
        )

    def complete(self) -> Counts:
        """Wait until nothing of this scenario is missing, and return what was counted."""
        stage = self.stage
        last = stage.minute() - 1
        with suppress(WrongError):  # counted below
            self.eventually(
                lambda: not stage.missing(self._first, last), "complete", RECOVERED_WITHIN
            )
        missing, wrong = stage.missing(self._first, last), stage.wrong_values(self._first, last)
        minutes = last - self._first + 1
        total = minutes * stage.symbols * len(stage.names)
        filled = min(stage.filled() - self._filled, total)
        if not missing and not wrong:
            self.verified(
                f"all prices of {minutes} minutes are stored, each as the exchange has it: "
                f"{total:,}, of which {filled:,} were filled in"
            )
        assert self._errors is not None
        return Counts(
            collected=total - filled - len(missing),
            filled=filled,
            missing=len(missing),
            wrong_values=len(wrong),
            errors=stage.errors().since(self._errors),
        )

    def at_rest(self) -> None:
        """Wait until no more is used than before."""
        rest = self.stage.rest
        try:
            self.eventually(lambda: not self.stage.above(rest), "not at rest", RECOVERED_WITHIN)
        except WrongError:
            self.require(False, f"more is in use than before: {_listed(self.stage.above(rest))}")
        else:
            self.verified(f"no more is in use than before: {_listed(rest)}")

    def _wait(self, otherwise: str, match: Match, within: float) -> Happening:
        since = self.broken_at
        left = since + within - time.monotonic()
        try:
            return self.stage.happenings.first(match, since=since, within=max(0.0, left))
        except TimeoutError:
            raise WrongError(f"{otherwise} within {within:g} s") from None


def told(who: str | Iterable[str], *kinds: str) -> Match:
    """Return whether one of these is told of somebody."""
    names = {who} if isinstance(who, str) else {*who}
    return lambda happening: happening.who in names and happening.kind in kinds


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
