"""A run in miniature, as displays and the report meet it: recorded, not played."""

from __future__ import annotations

from holdfast.agent.demo.chronicle import Chronicle
from holdfast.agent.demo.report import Results
from holdfast.agent.demo.scene import Scene, Trail
from holdfast.agent.demo.schedule import NS, Schedule
from holdfast.agent.demo.tally import LANES, Call, Side, Tally, Verdict

MS = 1_000_000
SCHEDULE = Schedule.fit(10)

#: In each phase a call each second and lane: how it ends unguarded and guarded, and after what.
_ENDINGS = {
    "healthy": ((Verdict.GOOD, 8), (Verdict.GOOD, 8)),
    "slow": ((Verdict.TIMED_OUT, 500), (Verdict.REJECTED, 1)),
    "failing": ((Verdict.FAILED, 40), (Verdict.REJECTED, 1)),
    "killed": ((Verdict.FAILED, 1), (Verdict.REJECTED, 1)),
    "back": ((Verdict.GOOD, 8), (Verdict.GOOD, 8)),
}


def recorded_tally(until_ns: int = 10 * NS) -> Tally:
    tally = Tally(SCHEDULE)
    tally.upstream_is_back(round(7.2 * NS))
    for second in range(until_ns // NS):
        at_ns = second * NS
        for lane in LANES:
            ending = _ENDINGS[SCHEDULE.at(at_ns).phase.name]
            verdict, took_ms = ending[lane.side is Side.GUARDED]
            reason = "circuit-open" if verdict is Verdict.REJECTED else ""
            tally.record(lane, Call(at_ns, at_ns, at_ns + took_ms * MS, verdict, reason))
    return tally


def recorded_chronicle() -> Chronicle:
    chronicle = Chronicle()
    chronicle.note(0, "phase", "healthy: 200 after 4 to 12 ms")
    for at_ms, old, new in (
        (2_500, "closed", "open"),
        (2_800, "open", "half-open"),
        (3_300, "half-open", "open"),
        (7_300, "open", "half-open"),
        (7_350, "half-open", "closed"),
    ):
        chronicle.transition(at_ms * MS, old, new)
    return chronicle


def recorded_results() -> Results:
    return Results(
        elapsed_ns=10 * NS,
        schedule=SCHEDULE,
        per_second=2,
        timeout_seconds=0.35,
        kills=1,
        tally=recorded_tally(),
        chronicle=recorded_chronicle(),
    )


def scene_at(
    elapsed_ns: int,
    *,
    trail: Trail | None = None,
    chronicle: Chronicle | None = None,
    schedule: Schedule = SCHEDULE,
    pid: int | None = 4711,
    breaker: str = "open",
    retry_after: float | None = 0.217,
) -> Scene:
    tally = recorded_tally(elapsed_ns)
    lanes = {lane: tally.lane(lane) for lane in LANES}
    return Scene(
        elapsed_ns=elapsed_ns,
        schedule=schedule,
        moment=schedule.at(elapsed_ns),
        url="http://127.0.0.1:43121/",
        pid=pid,
        lanes=lanes,
        sides={side: tally.side(side) for side in Side},
        recent=(trail or Trail()).add(elapsed_ns, lanes),
        breaker=breaker,
        retry_after=retry_after,
        reasons=tally.reasons(),
        entries=tuple((chronicle or recorded_chronicle()).since(0)),
    )
