"""Candidates and a real etcd, which is killed, compacted, restored, or loses a member."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
import urllib.request

import pytest

import holdfast as hf
from examples.dwcp_node import etcd
from examples.dwcp_node.consensus import Consensus
from examples.dwcp_node.gateway import EtcdError, Gateway
from examples.dwcp_node.proxy import FaultProxy
from examples.dwcp_node.store import Fenced, Store

HEARTBEAT = 0.02  # etcd grants no lease shorter than 15 of these, rounded up to a second
LEASE = 2.0  # 1 s of etcd


@pytest.fixture
def loop():
    return asyncio.new_event_loop()


@pytest.fixture(autouse=True)
def installed(require_real):
    if etcd.installed() is None:
        require_real("there is no etcd (Debian: etcd-server)")


@contextlib.contextmanager
def running(*members):
    components = [etcd.component(member) for member in members]
    try:
        for component in components:
            component.start()
        yield components
    finally:
        for component in components:
            component.stop()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    if etcd.installed() is None:
        yield ""  # the test is skipped
        return
    [member] = etcd.plan(tmp_path_factory.mktemp("etcd"), heartbeat=HEARTBEAT)
    with running(member):
        yield member.client_url


@contextlib.asynccontextmanager
async def candidates(*urls, names="a", **settings):
    found = [Consensus(name, endpoints=urls, **{"lease": LEASE, **settings}) for name in names]
    try:
        for each in found:
            await each.start()
        yield found
    finally:
        for each in found:
            await each.stop()


async def until(condition, seconds=30):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the condition is another process's
            await asyncio.sleep(0.01)


def leading(found):
    return next((each for each in found if each.revision is not None), None)


def post(url, path, **request):
    body = json.dumps(request).encode()
    with urllib.request.urlopen(urllib.request.Request(url + path, body), timeout=5) as answer:
        return json.load(answer)


# ---- elections ----


async def test_one_of_three_leads_and_the_next_one_follows_at_once_when_it_stops(loop, url):
    async with candidates(url, names="abc", election="three") as found:
        revisions = []
        for _ in range(3):
            await until(lambda: leading(found))
            leader = leading(found)
            assert sum(each.revision is not None for each in found) == 1
            await until(lambda: {each.leader for each in found} == {leader.node})  # noqa: B023
            revisions.append(leader.revision)
            await leader.stop()
            found.remove(leader)
        assert revisions == sorted(set(revisions))


async def test_a_candidate_that_stops_while_it_waits_leaves_nothing_in_etcd(loop, url):
    async with candidates(url, names="ab", election="waiting") as found:
        await until(lambda: leading(found) and all(each.leader for each in found))
        leader = leading(found)
        other = next(each for each in found if each is not leader)
        prefix = {"key": "d2FpdGluZy8=", "range_end": "d2FpdGluZzA=", "keys_only": True}
        await until(lambda: len(post(url, "/v3/kv/range", **prefix)["kvs"]) == 2)
        await other.stop()
        assert len(post(url, "/v3/kv/range", **prefix)["kvs"]) == 1


async def test_a_compaction_changes_nothing(loop, url):
    async with candidates(url, names="ab", election="compacted") as found:
        await until(lambda: leading(found))
        leader, revision = leading(found), leading(found).revision
        now = post(url, "/v3/kv/range", key="eA==")["header"]["revision"]
        post(url, "/v3/kv/compaction", revision=now, physical=True)
        await asyncio.sleep(0.5)
        assert leader.revision == revision
        await leader.stop()
        await until(lambda: leading(found))
        assert leading(found).revision > revision


async def test_a_leader_with_a_slow_clock_believes_too_long_and_is_refused_by_the_store(
    loop, url, tmp_path
):
    store = Store(tmp_path / "state.db", "x")
    store.open()
    proxy = FaultProxy(int(url.rpartition(":")[2]))
    await proxy.start()
    slow = Consensus(
        "slow",
        endpoints=[f"http://127.0.0.1:{proxy.port}"],
        election="clocks",
        lease=LEASE,
        clock=lambda: time.monotonic() / 10,
    )
    await slow.start()
    await until(lambda: slow.revision)
    async with candidates(url, names="b", election="clocks") as (other,):
        store.apply(slow.effect("k", "slow"))
        await until(lambda: other.leader == "slow")
        proxy.part()
        await until(lambda: other.revision)
        store.apply(other.effect("k", "b"))
        late = slow.effect("k", "slow again")  # it believes that it leads, and is wrong
        with pytest.raises(Fenced):
            store.apply(late)
        assert store.get("k") == "b"
        proxy.heal()
        await until(lambda: slow.revision is None)
    await slow.stop()
    await proxy.close()
    store.close()


# ---- etcd in trouble ----


async def test_while_etcd_is_dead_nobody_writes_and_its_return_brings_a_leader(loop, tmp_path):
    [member] = etcd.plan(tmp_path, heartbeat=HEARTBEAT)
    with running(member) as [component]:
        async with candidates(member.client_url, names="ab") as found:
            await until(lambda: leading(found))
            revision = leading(found).revision
            os.kill(component.pid, signal.SIGKILL)
            await until(lambda: leading(found) is None)
            await until(lambda: all("nobody writes" in each.check().message for each in found))
            await asyncio.to_thread(component.stop)
            assert leading(found) is None
            await asyncio.to_thread(component.start)
            await until(lambda: leading(found))
            assert leading(found).revision >= revision
            assert sum(each.revision is not None for each in found) == 1


async def test_an_etcd_restored_from_a_backup_is_refused_until_it_has_caught_up(loop, tmp_path):
    [member] = etcd.plan(tmp_path / "etcd", heartbeat=HEARTBEAT)
    with running(member) as [component]:
        await until(lambda: is_healthy(member.client_url))
        component.stop()
        shutil.copytree(member.folder, tmp_path / "backup")
        component.start()
        await until(lambda: is_healthy(member.client_url))
        async with candidates(member.client_url, names="a") as (a,):
            for _ in range(3):
                await until(lambda: a.revision)
                await a.stop()
                await a.start()
            await until(lambda: a.revision)
            old = a.revision
            component.stop()
            shutil.rmtree(member.folder)
            shutil.copytree(tmp_path / "backup", member.folder)
            component.start()
            await until(lambda: "restored from a backup" in a.check().message)
            assert a.revision is None
            for _ in range(old + 10):
                post(member.client_url, "/v3/kv/put", key="eA==", value="eA==")
            await until(lambda: a.revision)
            assert a.revision > old


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["the first member", "the leading member"])
async def test_an_etcd_of_three_members_goes_on_without_one(loop, tmp_path, lost):
    members = etcd.plan(tmp_path, count=3, heartbeat=0.05)
    urls = [member.client_url for member in members]
    with running(*members) as components:
        async with candidates(*urls, names="abc") as found:
            await until(lambda: leading(found), 60)
            revision = leading(found).revision
            gone = 0 if lost == "the first member" else leading_member(urls)
            os.kill(components[gone].pid, signal.SIGKILL)
            await asyncio.sleep(3)
            await until(lambda: leading(found), 60)
            assert leading(found).revision >= revision
            assert sum(each.revision is not None for each in found) == 1


@pytest.mark.slow
async def test_an_etcd_of_three_members_without_two_elects_nobody(loop, tmp_path):
    members = etcd.plan(tmp_path, count=3, heartbeat=0.05)
    with running(*members) as components:
        async with candidates(*(member.client_url for member in members), names="ab") as found:
            await until(lambda: leading(found), 60)
            for component in components[:2]:
                os.kill(component.pid, signal.SIGKILL)
            await until(lambda: leading(found) is None)
            await until(lambda: all("nobody writes" in each.check().message for each in found))
            await asyncio.sleep(1)
            assert leading(found) is None


@pytest.mark.slow
async def test_a_real_etcd_elects_a_candidate_whose_lease_has_expired(loop, url):
    # The reason why an answer to a campaign is no proof, and the election is read again.
    gateway = Gateway([url], timeout=5)
    first, second = await gateway.grant(60), await gateway.grant(1)
    await gateway.campaign("zombies", first.number, "first")
    waiting = asyncio.create_task(gateway.campaign("zombies", second.number, "second"))
    key = f"zombies/{second.number:x}".encode()
    await until(lambda: len(gateway_keys(url)) == 2)
    await until(lambda: len(gateway_keys(url)) == 1)  # the second lease has expired
    await gateway.revoke(first.number)
    assert (await waiting)[0] == key
    view = await gateway.view("zombies", key)
    assert (view.leader, view.own) == (None, None)
    await gateway.close()


def gateway_keys(url):
    return post(url, "/v3/kv/range", key="em9tYmllcy8=", range_end="em9tYmllczA=").get("kvs", [])


def leading_member(urls):
    for number, url in enumerate(urls):
        status = post(url, "/v3/maintenance/status")
        if status["leader"] == status["header"]["member_id"]:
            return number
    raise AssertionError("no member leads")


def is_healthy(url):
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


# ---- members ----


def test_members_have_folders_and_ports_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("ETCD_NAME", "another")  # etcd would refuse to start
    members = etcd.plan(tmp_path / "new", count=3)
    assert len({member.client_url for member in members}) == 3
    assert len({member.folder for member in members}) == 3
    assert all(member.folder.stat().st_mode & 0o777 == 0o700 for member in members)
    assert "ETCD_NAME" not in members[0].environment
    peers = {each for member in members for each in member.command if "initial-cluster=" in each}
    assert len(peers) == 1  # all know all


@pytest.mark.parametrize("settings", [{"count": 2}, {"heartbeat": 0}, {"name": ""}])
def test_members_that_make_no_etcd_are_refused(tmp_path, settings):
    with pytest.raises(hf.ConfigError):
        etcd.plan(tmp_path, **settings)


def test_a_missing_etcd_is_told_with_its_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert etcd.installed() is None
    with pytest.raises(FileNotFoundError, match="apt-get install etcd-server"):
        etcd.plan(tmp_path)


def test_a_member_that_is_stopped_is_gone(tmp_path):
    [member] = etcd.plan(tmp_path, heartbeat=HEARTBEAT)
    with running(member) as [component]:
        deadline = time.monotonic() + 30
        while not is_healthy(member.client_url):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        component.stop()
        assert not component.running
        assert not is_healthy(member.client_url)
    with pytest.raises(EtcdError):
        asyncio.run(Gateway([member.client_url]).grant(1))
