"""A run in miniature, as displays and the report meet it: recorded, not played."""

from holdfast.demo.chronicle import Chronicle
from holdfast.demo.guard import Standing
from holdfast.demo.report import Results
from holdfast.demo.scene import Scene, Trail
from holdfast.demo.schedule import NS, Schedule
from holdfast.demo.tally import LANES, Call, Side, Tally, Verdict

MS = 1_000_000
SCHEDULE = Schedule.fit(10)

#: In each phase a call each second and lane: how it ends unguarded and guarded, and after what.
#: Guarded, a flaky upstream is asked twice.
_ENDINGS = {
    "healthy": ((Verdict.GOOD, 8), (Verdict.GOOD, 8)),
    "flaky": ((Verdict.FAILED, 10), (Verdict.GOOD, 20)),
    "slow": ((Verdict.TIMED_OUT, 500), (Verdict.REJECTED, 1)),
    "failing": ((Verdict.FAILED, 40), (Verdict.REJECTED, 1)),
    "killed": ((Verdict.FAILED, 1), (Verdict.REJECTED, 1)),
    "back": ((Verdict.GOOD, 8), (Verdict.GOOD, 8)),
}


STANDING = Standing(
    breaker="open",
    retry_after=0.217,
    attempts=1_312,
    retries=74,
    recovered=46,
    gave_up={"exhausted": 6, "no-budget": 9, "rejected": 278},
    attempt_timeouts=2,
    total_timeouts=1,
    balance=12.38,
    burst=20,
    ratio=0.25,
    refused=9,
)


def recorded_tally(until_ns: int = 10 * NS) -> Tally:
    tally = Tally(SCHEDULE)
    tally.upstream_is_back(round(7.85 * NS))
    for second in range(until_ns // NS):
        at_ns = second * NS
        for lane in LANES:
            ending = _ENDINGS[SCHEDULE.at(at_ns).phase.name]
            guarded = lane.side is Side.GUARDED
            verdict, took_ms = ending[guarded]
            reason, requests = ("circuit-open", 0) if verdict is Verdict.REJECTED else ("", 1)
            if guarded and SCHEDULE.at(at_ns).phase.name == "flaky":
                requests = 2
            done_ns = at_ns + took_ms * MS
            tally.record(lane, Call(at_ns, at_ns, done_ns, verdict, reason, requests))
    return tally


def recorded_chronicle() -> Chronicle:
    chronicle = Chronicle()
    chronicle.note(0, "phase", "healthy: 200 after 4 to 12 ms")
    for at_ms, old, new in (
        (4_500, "closed", "open"),
        (4_800, "open", "half-open"),
        (5_300, "half-open", "open"),
        (7_900, "open", "half-open"),
        (7_950, "half-open", "closed"),
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
        guard=STANDING,
    )


def scene_at(
    elapsed_ns: int,
    *,
    trail: Trail | None = None,
    chronicle: Chronicle | None = None,
    schedule: Schedule = SCHEDULE,
    pid: int | None = 4711,
    guard: Standing = STANDING,
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
        guard=guard,
        reasons=tally.reasons(),
        entries=tuple((chronicle or recorded_chronicle()).since(0)),
    )
