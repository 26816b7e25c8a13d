"""What a candidate makes of etcd's answers, from an etcd that does as it is told."""

import asyncio
import contextlib
import logging
import threading

import pytest

import holdfast as hf
from examples.dwcp_node import consensus
from examples.dwcp_node.consensus import Consensus, NotFenced, NotTheWriter
from examples.dwcp_node.store import Store
from holdfast.supervision import Component, Exit, Supervisor
from tests.examples.dwcp_node.fake_etcd import FakeEtcd, never

BEAT = "/v3/lease/keepalive"
CAMPAIGN = "/v3/election/campaign"
GRANT = "/v3/lease/grant"
REVOKE = "/v3/lease/revoke"
VIEW = "/v3/kv/txn"


@pytest.fixture
def loop():
    return asyncio.new_event_loop()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(consensus, "PAUSE", 0.02)
    monkeypatch.setattr(consensus, "PATIENCE", 0.15)


async def until(condition, seconds=10):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the condition is another task's or process's
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def candidate(*etcds, node="a", **settings):
    settings = {"lease": 2, **settings}
    it = Consensus(node, endpoints=[etcd.url for etcd in etcds], **settings)
    it.changes = []
    it.on_change(it.changes.append)
    await it.start()
    try:
        yield it
    finally:
        await it.stop()


def kinds(it):
    return [change.kind for change in it.changes]


# ---- elected, deposed ----


async def test_the_elected_node_makes_effects_with_the_revision_of_its_election(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as a:
        await until(lambda: a.revision)
        assert a.leader == "a"
        assert a.revision == etcd.leader().revision
        assert a.effect("k", 1) == {"revision": a.revision, "writer": "a", "key": "k", "value": 1}
        assert a.check().verdict == "passed"
        assert kinds(a) == ["elected", "leader"]


async def test_a_node_that_does_not_lead_makes_no_effects_and_says_who_leads(loop):
    async with FakeEtcd() as etcd:
        await etcd.stand(5, "b#1")
        async with candidate(etcd) as a:
            await until(lambda: a.leader and len(etcd.keys) == 2)
            beats = etcd.count(VIEW)
            await until(lambda: etcd.count(VIEW) > beats + 3)
            assert a.revision is None
            assert kinds(a) == ["leader"]
            with pytest.raises(NotTheWriter, match="b leads"):
                a.effect("k", 1)


async def test_a_node_that_stops_leaves_the_election_at_once(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as a, candidate(etcd, node="b") as b:
        await until(lambda: a.revision or b.revision)
        old, new = (a, b) if a.revision else (b, a)
        await old.stop()
        assert old.revision is None
        await until(lambda: new.revision)
        assert len(etcd.leases) == 1
        await old.stop()  # twice is harmless


async def test_a_stop_ends_the_belief_before_it_waits_for_anything(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as a:
        await until(lambda: a.revision)
        stopping = a.stop()
        stopping.send(None)  # to its first wait; no other task has run
        assert a.revision is None
        stopping.close()


async def test_a_node_starts_again_after_a_stop_with_a_higher_revision(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as a:
        await until(lambda: a.revision)
        first = a.revision
        await a.stop()
        await a.start()
        await a.start()  # twice is harmless
        await until(lambda: a.revision)
        assert a.revision > first
        assert etcd.count(GRANT) == 2


async def test_two_lives_of_one_node_are_two_candidates(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as first:
        await until(lambda: first.revision)
        async with candidate(etcd) as second:
            await until(lambda: second.leader)
            assert second.leader == "a"
            assert second.revision is None  # the name alone makes no leader
            await etcd.expire(etcd.leader().lease)
            await until(lambda: second.revision)
            await until(lambda: first.revision is None)
            assert second.revision == etcd.leader().revision


async def test_a_leader_whose_key_was_deleted_stands_down_with_its_next_renewal(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as a:
        await until(lambda: a.revision)
        old = a.revision
        await etcd.delete(etcd.leader().key)  # its lease lives on
        await until(lambda: "deposed" in kinds(a))
        await until(lambda: a.revision)
        assert a.revision > old
        assert len(etcd.leases) == 1  # the first lease was given back


async def test_a_leader_whose_lease_was_revoked_stands_down_with_its_next_renewal(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as a:
        await until(lambda: a.revision)
        await etcd.stand(5, "b#1")
        await etcd.expire(etcd.leader().lease)
        await until(lambda: "deposed" in kinds(a))
        assert a.revision is None
        await until(lambda: a.leader == "b")


# ---- belief ----


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


async def test_the_belief_ends_with_the_lease_without_any_answer_of_etcd(loop):
    clock = Clock()
    async with FakeEtcd() as etcd, candidate(etcd, clock=clock) as a:
        await until(lambda: a.revision)
        etcd.instead[BEAT] = never
        beats = etcd.count(BEAT)
        await until(lambda: etcd.count(BEAT) > beats)
        clock.now += 0.89  # of a lease of one second, nine tenths are used
        assert a.revision is not None
        clock.now += 0.02
        assert a.revision is None  # no task of the loop has run since
        with pytest.raises(NotTheWriter):
            a.effect("k", 1)


async def test_a_renewal_counts_from_when_it_was_sent_and_not_from_its_answer(loop):
    clock = Clock()
    async with FakeEtcd() as etcd, candidate(etcd, clock=clock) as a:
        await until(lambda: a.revision)
        before = len(a.changes)

        async def late(_):  # the process stands still while the answer waits for it
            clock.now += 5
            etcd.instead.clear()

        etcd.instead[BEAT] = late
        await until(lambda: not etcd.instead)
        views = etcd.count(VIEW)
        await until(lambda: etcd.count(VIEW) > views)
        await until(lambda: len(a.changes) > before)
        assert kinds(a)[before] == "deposed"  # though etcd has renewed the lease
        await until(lambda: a.revision)  # and the next renewal is in time


async def test_a_silent_etcd_ends_what_is_known_of_the_leader_too(loop):
    clock = Clock()
    async with FakeEtcd() as etcd:
        await etcd.stand(5, "b#1")
        async with candidate(etcd, clock=clock) as a:
            await until(lambda: a.leader == "b")
            etcd.instead = dict.fromkeys((BEAT, VIEW, GRANT), never)
            clock.now += 2
            assert a.leader is None
            await until(lambda: a.check().verdict == "degraded")
            assert "nobody writes" in a.check().message


async def test_a_leader_goes_on_with_its_revision_if_its_lease_has_outlived_the_silence(loop):
    clock = Clock()
    async with FakeEtcd() as etcd, candidate(etcd, clock=clock) as a:
        await until(lambda: a.revision)
        old = a.revision
        etcd.instead[BEAT] = never
        clock.now += 30
        await until(lambda: "deposed" in kinds(a))
        etcd.instead.clear()
        await until(lambda: a.revision)
        assert a.revision == old
        assert etcd.count(GRANT) == 1


async def test_a_renewal_and_a_view_of_two_terms_of_etcd_do_not_prolong_the_belief(loop):
    clock = Clock()
    async with FakeEtcd() as etcd, candidate(etcd, clock=clock) as a:
        await until(lambda: a.revision)

        def deposed_within_etcd(answer):
            answer["result"]["header"]["raft_term"] = "1"

        etcd.after[BEAT] = deposed_within_etcd
        views = etcd.count(VIEW)
        await until(lambda: etcd.count(VIEW) > views + 1)
        clock.now += 0.95
        views = etcd.count(VIEW)
        await until(lambda: etcd.count(VIEW) > views + 1)
        assert a.revision is None
        etcd.after.clear()
        await until(lambda: a.revision)


# ---- campaigns ----


async def test_etcd_naming_a_candidate_whose_key_has_gone_makes_no_leader(loop):
    # A real etcd does it if the lease expires while the candidate waits.
    async with FakeEtcd() as etcd:
        await etcd.stand(5, "b#1")
        async with candidate(etcd) as a:
            await until(lambda: len(etcd.keys) == 2)
            mine = next(key for key in etcd.keys.values() if key.lease != 5)
            await etcd.delete(mine.key)
            await etcd.stand(6, "c#1")
            await etcd.expire(5)  # now the campaign of a is answered: elected
            await until(lambda: a.leader == "c")
            await until(lambda: etcd.count(CAMPAIGN) == 2)
            assert "elected" not in kinds(a)
            assert mine.lease not in etcd.leases


async def test_an_election_whose_answer_is_lost_is_found_by_looking(loop):
    async with FakeEtcd() as etcd:

        async def lost(request):
            await etcd._campaign(request)
            await never(request)

        etcd.instead[CAMPAIGN] = lost
        async with candidate(etcd) as a:
            await until(lambda: a.revision)
            assert a.revision == etcd.leader().revision


async def test_a_campaign_that_broke_gives_its_lease_back_and_never_uses_it_again(loop):
    async with FakeEtcd() as etcd:

        async def elected_and_cut(request):
            await etcd._campaign(request)
            etcd.instead.clear()
            return b""

        etcd.instead[CAMPAIGN] = elected_and_cut
        async with candidate(etcd) as a:
            await until(lambda: a.revision)
            leases = [request["lease"] for path, request in etcd.asked if path == CAMPAIGN]
            assert len(leases) == len(set(leases)) == 2
            assert [key.lease for key in etcd.keys.values()] == [int(leases[1])]


async def test_a_campaign_cancelled_after_etcd_has_elected_it_leaves_no_key(loop):
    async with FakeEtcd() as etcd:

        async def elected_and_slow(request):
            await etcd._campaign(request)
            await never(request)

        etcd.instead[CAMPAIGN] = elected_and_slow
        async with candidate(etcd) as a:
            await until(lambda: etcd.keys)
            await a.stop()
            assert not etcd.keys
            assert not etcd.leases


async def test_a_stop_while_etcd_is_silent_is_bounded_and_lets_the_lease_expire(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as a:
        await until(lambda: a.revision)
        etcd.instead = dict.fromkeys((BEAT, VIEW, REVOKE), never)
        async with asyncio.timeout(5):
            await a.stop()
        assert a.revision is None
        beats = etcd.count(BEAT)
        await asyncio.sleep(0.3)
        assert etcd.count(BEAT) == beats  # nobody renews it


async def test_a_stop_during_the_return_of_a_lease_ends_the_candidacy(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as a:
        await until(lambda: a.revision)
        etcd.instead[REVOKE] = never
        await etcd.delete(etcd.leader().key)
        await until(lambda: etcd.count(REVOKE))
        async with asyncio.timeout(5):
            await a.stop()
        grants = etcd.count(GRANT)
        await asyncio.sleep(0.2)
        assert etcd.count(GRANT) == grants


async def test_a_listener_may_stop_it(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as a:
        stopped = []

        def stop(change):
            if change.kind == "elected":
                stopped.append(asyncio.ensure_future(a.stop()))

        a.on_change(stop)
        await until(lambda: stopped)
        await stopped[0]
        assert not a.check()
        await until(lambda: not etcd.keys)


async def test_a_listener_that_fails_changes_nothing(loop, caplog):
    def fails(_):
        raise ValueError("listener")

    async with FakeEtcd() as etcd:
        a = Consensus("a", endpoints=[etcd.url], lease=2)
        a.on_change(fails)
        await a.start()
        await until(lambda: a.revision)
        await a.stop()
    assert "a listener of a has failed" in caplog.text


# ---- an etcd that went back ----


async def test_an_etcd_behind_the_store_elects_nobody_until_it_has_caught_up(loop, caplog):
    caplog.set_level(logging.WARNING)
    async with FakeEtcd() as etcd, candidate(etcd, floor=lambda: 50) as a:
        await until(lambda: "restored from a backup" in a.check().message)
        assert not a.check()
        assert "revision 10, and this node has seen 50" in a.check().message
        assert etcd.count(GRANT) == 0  # it takes no part at all
        assert "restored" in caplog.text
        etcd.revision = 50
        await until(lambda: a.revision)
        assert a.revision == 51


async def test_a_leader_stands_down_when_its_etcd_goes_back(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as a:
        await until(lambda: a.revision)
        etcd.revision = 3
        await until(lambda: "restored" in a.check().message)
        assert a.revision is None
        assert a.leader is None
        assert not etcd.keys


async def test_an_election_with_a_revision_that_was_given_before_is_refused(loop):
    # The store hears of revision 11 from another leader when this node is elected with it.
    async with (
        FakeEtcd() as etcd,
        candidate(etcd, floor=lambda: 11 if etcd.keys else 10) as a,
    ):
        await until(lambda: "has elected this node with revision 11" in a.check().message)
        assert a.revision is None
        await until(lambda: a.revision)  # the next election is above it
        assert a.revision > 11


async def test_another_etcd_behind_the_same_address_is_refused(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as a:
        await until(lambda: a.revision)
        etcd.cluster, etcd.revision = 8, 10_000
        await until(lambda: "restart the node" in a.check().message)
        assert a.revision is None
        await a.stop()
        await a.start()  # a supervisor restarts it: what it has seen is not forgotten
        await until(lambda: "restart the node" in a.check().message)


async def test_what_etcd_does_not_answer_in_time_is_counted(loop):
    async with FakeEtcd() as etcd, candidate(etcd) as a:
        await until(lambda: a.revision)
        assert a.unanswered == 0
        etcd.instead[BEAT] = never
        await until(lambda: a.unanswered == 2)


# ---- fences ----


async def test_the_store_is_fenced_before_the_leader_makes_effects(loop, tmp_path):
    store = Store(tmp_path / "state.db", "a")
    store.open()
    seen = []

    def fence(revision, leader):
        seen.append((revision, leader, a.revision))
        store.fence(revision, leader)

    async with FakeEtcd() as etcd:
        a = Consensus("a", endpoints=[etcd.url], lease=2, floor=lambda: store.highest, fence=fence)
        await a.start()
        await until(lambda: a.revision)
        assert seen == [(11, "a", None)]
        store.apply(a.effect("k", 1))
        await a.stop()
    store.close()


async def test_a_follower_fences_its_store_when_it_hears_of_a_leader(loop, tmp_path):
    store = Store(tmp_path / "state.db", "a")
    store.open()
    async with FakeEtcd() as etcd:
        await etcd.stand(5, "b#1")
        async with candidate(etcd, floor=lambda: store.highest, fence=store.fence):
            await until(lambda: store.highest == 11)
            assert store.owner == "b"
    store.close()


async def test_a_fence_that_cannot_be_raised_ends_the_candidacy_with_its_error(loop, caplog):
    def full(_revision, _leader):
        raise OSError(28, "no space")

    ended = []
    async with FakeEtcd() as etcd:
        a = Consensus("a", endpoints=[etcd.url], lease=2, fence=full)
        a.watch(ended.append)
        await a.start()
        await until(lambda: ended)
        assert isinstance(ended[0], Exit)
        assert isinstance(ended[0].error, OSError)
        assert a.revision is None
        assert not a.check()
        assert not etcd.keys
        await a.stop()
    assert "the candidacy has ended" in caplog.text


async def test_a_candidate_whose_store_is_closed_leaves_the_election_until_it_is_open(loop):
    ended, is_open = [], False

    def fence(revision, leader):
        if not is_open:
            raise NotFenced("the store is closed")

    async with FakeEtcd() as etcd, candidate(etcd, fence=fence) as a:
        a.watch(ended.append)
        await until(lambda: etcd.count(REVOKE))  # it was elected, and has given that back
        async with candidate(etcd, node="b") as b:
            await until(lambda: b.revision)
            assert a.revision is None
        is_open = True
        await until(lambda: a.revision)
    assert not ended


# ---- members, leases ----


async def test_a_leader_goes_on_through_another_member(loop):
    async with FakeEtcd() as first, FakeEtcd() as second:
        second.leases, second.keys = first.leases, first.keys  # one cluster
        async with candidate(first, second) as a:
            await until(lambda: a.revision)
            old, second.revision = a.revision, first.revision
            first.instead = dict.fromkeys((BEAT, VIEW), never)
            await until(lambda: second.count(VIEW) > 2)
            assert a.revision == old
            assert kinds(a) == ["elected", "leader"]


async def test_a_lease_longer_than_asked_is_used_and_told(loop, caplog):
    async with FakeEtcd() as etcd:
        etcd.least_ttl = 4
        async with candidate(etcd) as a:
            await until(lambda: a.revision)
        assert "etcd grants no less than 4 s" in caplog.text


async def test_an_etcd_that_comes_late_is_waited_for(loop):
    async with FakeEtcd() as etcd:
        etcd.instead = dict.fromkeys((VIEW, GRANT), never)
        async with candidate(etcd) as a:
            await until(lambda: "no answer" in a.check().message)
            assert a.check().verdict == "degraded"  # to start it again would not help
            etcd.instead.clear()
            await until(lambda: a.revision)
            assert a.check().verdict == "passed"


async def test_a_candidacy_that_asks_nothing_any_more_fails_its_check(loop):
    clock, stuck, goes_on = Clock(), threading.Event(), threading.Event()

    def fence(_revision, _leader):
        stuck.set()
        goes_on.wait(30)  # as a disk that hangs

    async with FakeEtcd() as etcd, candidate(etcd, clock=clock, fence=fence) as a:
        await until(stuck.is_set)
        clock.now += 11
        assert a.check()
        clock.now += 2
        assert not a.check()
        assert "has not asked etcd for 13.0 s" in a.check().message
        goes_on.set()


async def test_a_candidate_of_somebody_else_may_have_any_value(loop, tmp_path):
    store = Store(tmp_path / "state.db", "a")
    store.open()
    async with FakeEtcd() as etcd:
        await etcd.stand(5, "\x00\n" * 500)
        async with candidate(etcd, floor=lambda: store.highest, fence=store.fence) as a:
            await until(lambda: a.leader == "unknown")
            assert a.check()
    store.close()


# ---- without etcd ----


async def test_without_etcd_the_declared_writer_alone_makes_effects(loop):
    a, b = Consensus("a", writer="a"), Consensus("b", writer="a")
    assert a.revision is None  # not before it was started
    await a.start()
    await b.start()
    assert (a.leader, b.leader) == ("a", "a")
    assert (a.revision, b.revision) == (0, None)
    assert a.effect("k", 1)["revision"] == 0
    with pytest.raises(NotTheWriter, match="a is the declared writer"):
        b.effect("k", 1)
    assert a.check()
    assert b.check()
    await a.stop()
    await b.stop()
    assert a.revision is None


async def test_a_declared_writer_is_refused_where_the_store_has_seen_an_election(loop):
    a = Consensus("a", writer="a", floor=lambda: 17)
    await a.start()
    assert a.revision is None
    assert not a.check()
    with pytest.raises(NotTheWriter, match="revision 17 of an election"):
        a.effect("k", 1)
    await a.stop()


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({}, "writer"),
        ({"endpoints": ["http://127.0.0.1:2379"], "writer": "a"}, "writer"),  # never two sources
        ({"endpoints": ["127.0.0.1:2379"]}, "endpoints"),
        ({"writer": ""}, "writer"),
        ({"writer": "a", "lease": 1}, "lease"),
        ({"writer": "a", "lease": 61}, "lease"),
        ({"writer": "a", "election": "a/b"}, "election"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, field):
    with pytest.raises(hf.ConfigError, match=field):
        Consensus("a", **settings)


def test_it_is_a_component_named_after_its_part_in_the_node():
    assert isinstance(Consensus("a", writer="a"), Component)
    assert Consensus("a", writer="a").name == "consensus"


# ---- under a supervisor ----


async def test_a_supervisor_does_not_start_it_again_while_etcd_is_silent(loop):
    async with FakeEtcd() as etcd:
        etcd.instead = dict.fromkeys((VIEW, GRANT, BEAT), never)
        a = Consensus("a", endpoints=[etcd.url], lease=2)
        supervisor = Supervisor("node", interval=0.05)
        supervisor.add(a)
        await supervisor.astart()
        await until(lambda: getattr(supervisor.status("consensus").check, "check_count", 0) > 10)
        assert supervisor.status("consensus").recovery_attempts == 0
        etcd.instead.clear()
        await until(lambda: a.revision)
        await supervisor.astop()
        assert not etcd.keys


@pytest.mark.parametrize("how", ["by an error", "by somebody who cancels its task"])
async def test_a_supervisor_starts_a_candidacy_again_that_has_ended(loop, how):
    def fails_once(_revision, _leader):
        if not failed:
            failed.append(1)
            if how == "by an error":
                raise OSError(28, "no space")
            loop.call_soon_threadsafe(cancel)

    def cancel():
        [task] = [each for each in asyncio.all_tasks(loop) if "consensus of" in each.get_name()]
        task.cancel()

    failed = []
    async with FakeEtcd() as etcd:
        a = Consensus("a", endpoints=[etcd.url], lease=2, fence=fails_once)
        supervisor = Supervisor("node", interval=600)  # no check finds it: its end is told
        supervisor.add(a, first_delay=0)
        await supervisor.astart()
        await until(lambda: a.revision and supervisor.status("consensus").recoveries)
        assert failed
        await supervisor.astop()
