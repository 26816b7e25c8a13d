"""What the gateway's client makes of answers, good and bad."""

import asyncio
import json
import time

import pytest

import holdfast as hf
from examples.dwcp_node.gateway import LONGEST_ANSWER, EtcdError, Gateway, LeaseLost, Unreachable
from tests.examples.dwcp_node.fake_etcd import FakeEtcd, never, reply

HEADER = {"cluster_id": "7", "revision": "10", "raft_term": "2"}
BEAT = "/v3/lease/keepalive"
VIEW = "/v3/kv/txn"


@pytest.fixture
def loop():
    return asyncio.new_event_loop()  # real sockets need real time


def always(raw):
    async def answer(_):
        return raw

    return answer


def told(answer, status=200):
    return always(reply(json.dumps(answer).encode(), status))


NO_HEADER = {"result": {"ID": "5", "TTL": "2"}}
RENEWED = {"header": HEADER, "ID": "5", "TTL": "2"}


def headed(header):
    return told({"result": RENEWED | {"header": HEADER | header}})


BAD_BEATS = {
    "nothing": always(b""),
    "no HTTP": always(b"hello\r\n\r\n"),
    "half an answer": always(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"),
    "no JSON": always(reply(b"<html>busy</html>")),
    "a proxy's page": always(reply(b"<html>busy</html>", 502)),
    "a list": told([1, 2]),
    "a number": told(7),
    "null": told(None),
    "deep JSON": always(reply(b"[" * 30_000)),
    "no result": told({}),
    "a result that is a list": told({"result": []}),
    "no header": told(NO_HEADER),
    "no revision": headed({"revision": None}),
    "a revision below zero": headed({"revision": "-1"}),
    "a revision of 65 bits": headed({"revision": f"{2**64}"}),
    "a revision that is a float": headed({"revision": 1.5}),
    "a revision in other digits": headed({"revision": "٣"}),
    "a revision of a megabyte": always(reply(b'{"a": "' + b"9" * LONGEST_ANSWER + b'"}')),
    "another lease": told({"result": RENEWED | {"ID": "6"}}),
    "a time that is a number": told({"result": RENEWED | {"TTL": 2}}),
    "a refusal": told({"error": "etcdserver: permission denied", "code": 7}, 403),
    "no leader": told({"error": "etcdserver: no leader", "code": 14}, 503),
    "an error of a stream": told({"error": {"message": "etcdserver: no leader"}}),
    "an error that is a list": told({"error": ["?"]}, 500),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_BEATS)
async def test_a_renewal_answered_badly_is_an_error_and_no_lost_lease(loop, what):
    async with FakeEtcd() as etcd:
        etcd.instead[BEAT] = BAD_BEATS[what]
        gateway = Gateway([etcd.url], timeout=5)
        with pytest.raises(EtcdError) as caught:
            await gateway.renew(5)
        assert not isinstance(caught.value, LeaseLost)
        await gateway.close()


RANGE = {"response_range": {"kvs": [{"key": "YQ==", "create_revision": "3", "lease": "5"}]}}


async def test_an_answer_without_an_end_is_read_no_further(loop):
    async with FakeEtcd() as etcd:
        etcd.instead[BEAT] = always(reply(b" " * 10_000_000))
        gateway = Gateway([etcd.url], timeout=5)
        with pytest.raises(EtcdError, match="more than 65536 bytes"):
            await gateway.renew(5)
        await gateway.close()


BAD_VIEWS = {
    "no responses": {},
    "responses that are no list": {"responses": {"a": 1}},
    "one response of two": {"responses": [RANGE]},
    "a response that is null": {"responses": [RANGE, None]},
    "another response": {"responses": [RANGE, {"response_put": {}}]},
    "keys that are no list": {"responses": [RANGE, {"response_range": {"kvs": "a"}}]},
    "a key that is no object": {"responses": [RANGE, {"response_range": {"kvs": ["a"]}}]},
    "a key without a revision": {"responses": [RANGE, {"response_range": {"kvs": [{}]}}]},
    "a key not in base64": {
        "responses": [RANGE, {"response_range": {"kvs": [{"key": "?", "create_revision": "1"}]}}]
    },
}


@pytest.mark.parametrize("what", BAD_VIEWS)
async def test_an_election_read_badly_is_an_error(loop, what):
    async with FakeEtcd() as etcd:
        etcd.instead[VIEW] = told({"header": HEADER} | BAD_VIEWS[what])
        gateway = Gateway([etcd.url], timeout=5)
        with pytest.raises(EtcdError):
            await gateway.view("dwcp")
        await gateway.close()


@pytest.mark.parametrize(
    "leader", [None, {}, {"key": "YQ==", "rev": "0", "lease": "5"}, {"key": "YQ==", "rev": "3"}]
)
async def test_an_election_of_somebody_else_is_an_error(loop, leader):
    async with FakeEtcd() as etcd:
        etcd.instead["/v3/election/campaign"] = told({"header": HEADER, "leader": leader})
        with pytest.raises(EtcdError):
            await Gateway([etcd.url]).campaign("dwcp", 5, "a")


async def test_a_lease_that_has_ended_is_a_lost_lease(loop):
    async with FakeEtcd() as etcd:
        gateway = Gateway([etcd.url], timeout=5)
        with pytest.raises(LeaseLost):
            await gateway.renew(5)
        with pytest.raises(LeaseLost):
            await gateway.campaign("dwcp", 5, "a")
        await gateway.revoke(5)  # it is gone: that was asked for
        await gateway.close()


async def test_a_lease_shorter_than_asked_is_refused(loop):
    async with FakeEtcd() as etcd:
        etcd.instead["/v3/lease/grant"] = told({"header": HEADER, "ID": "5", "TTL": "1"})
        gateway = Gateway([etcd.url], timeout=5)
        with pytest.raises(EtcdError, match="granted"):
            await gateway.grant(2)
        await gateway.close()


@pytest.mark.parametrize("fault", ["hangs", "talks nonsense", "is gone"])
async def test_if_one_member_fails_the_next_one_is_asked_and_stays_the_first(loop, fault):
    async with FakeEtcd() as bad, FakeEtcd() as good:
        bad.instead[VIEW] = {
            "hangs": never,
            "talks nonsense": always(reply(b"?")),
            "is gone": always(b""),
        }[fault]
        gateway = Gateway([bad.url, good.url], timeout=0.2)
        for _ in range(3):
            assert (await gateway.view("dwcp")).leader is None
        assert (bad.count(VIEW), good.count(VIEW)) == (1, 3)
        await gateway.close()


async def test_an_answer_that_drips_is_given_up_in_time(loop):
    async with FakeEtcd() as etcd:
        etcd.drips = True
        gateway = Gateway([etcd.url], timeout=0.2)
        began = time.monotonic()
        with pytest.raises(Unreachable, match=r"0\.2 s"):
            await gateway.view("dwcp")
        assert time.monotonic() - began < 5


async def test_a_member_nobody_listens_at_is_unreachable(loop):
    gateway = Gateway(["http://127.0.0.1:1"], timeout=5)
    with pytest.raises(Unreachable):
        await gateway.grant(2)
    with pytest.raises(Unreachable):
        await gateway.campaign("dwcp", 5, "a")


async def test_a_campaign_is_never_asked_for_twice(loop):  # its lease could be that of two keys
    async with FakeEtcd() as bad, FakeEtcd() as good:
        bad.instead["/v3/election/campaign"] = always(b"")
        with pytest.raises(Unreachable):
            await Gateway([bad.url, good.url]).campaign("dwcp", 5, "a")
        assert good.count("/v3/election/campaign") == 0


@pytest.mark.parametrize(
    "endpoints", [(), "", ["127.0.0.1:2379"], ["https://127.0.0.1:2379"], ["http://[::1"], [7]]
)
def test_endpoints_that_are_none_are_refused(endpoints):
    with pytest.raises(hf.ConfigError, match="endpoints"):
        Gateway(endpoints)


def test_a_time_limit_that_is_none_is_refused():
    with pytest.raises(hf.ConfigError, match="timeout"):
        Gateway(["http://127.0.0.1:2379"], timeout=0)
