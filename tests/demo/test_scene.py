from holdfast.demo.scene import Recent, Trail
from holdfast.demo.schedule import NS
from holdfast.demo.tally import LANES, Face, Lane, Side
from tests.demo.scenes import recorded_tally, scene_at

THREADS = Lane(Side.UNGUARDED, Face.THREADS)


def lanes_at(second):
    tally = recorded_tally(second * NS)
    return {lane: tally.lane(lane) for lane in LANES}


def test_the_first_moment_has_nothing_before_it():
    assert Trail().add(NS, lanes_at(1))[THREADS] == Recent(0, 0, 0, 0, 0)


def test_the_recent_past_is_the_difference_to_a_second_before():
    trail = Trail()
    for second in (1, 2, 3):
        recent = trail.add(second * NS, lanes_at(second))
    assert recent[THREADS] == Recent(NS, good=0, wasted=1, rejected=0, requests=1)


def test_the_recent_past_reaches_back_to_the_nearest_scene_a_second_old():
    trail = Trail()
    for tenth in range(14):
        recent = trail.add(tenth * NS // 10 + tenth, lanes_at(1))
    assert NS <= recent[THREADS].span_ns <= NS + NS // 10


def test_a_side_is_the_sum_of_its_lanes():
    trail = Trail()
    scene_at(NS, trail=trail)
    scene = scene_at(2 * NS, trail=trail)
    assert scene.recent_of(Side.GUARDED) == Recent(NS, good=2, wasted=0, rejected=0, requests=2)
