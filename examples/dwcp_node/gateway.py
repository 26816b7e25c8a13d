"""Etcd's HTTP/JSON gateway: leases, one election, and reading who holds it.

Owns the requests, which of several members is asked, how long an answer may take, and what an
answer must look like. Whatever else comes back is an ``EtcdError``. Elsewhere: what follows from
an answer (``consensus``), and starting etcd (``etcd``).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import httpx

from holdfast.validation import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")
Answer = dict[str, Any]  # what JSON has brought: each field is looked at before it is used
LONGEST_ANSWER = 64 * 1024
_NOT_FOUND = "lease not found"
_LARGEST = 2**64 - 1


class EtcdError(Exception):
    """Etcd has refused a request, or its answer cannot be used."""


class Unreachable(EtcdError):  # noqa: N818 - a state of etcd, not a fault of the request
    """No member has answered in time: whether the request was done is unknown."""


class LeaseLost(EtcdError):  # noqa: N818 - as above
    """The lease has expired or was revoked, and with it all that it held."""


@dataclass(frozen=True, slots=True)
class Header:
    """Which etcd has answered, and where it stands."""

    cluster: int
    revision: int
    raft_term: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A candidate's key. The candidate with the lowest revision leads."""

    key: bytes
    revision: int  # of the key's creation: the fencing token
    lease: int
    value: str


@dataclass(frozen=True, slots=True)
class View:
    """The election at one moment: read through a majority of the members."""

    header: Header
    leader: Holder | None
    own: Holder | None


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that etcd has granted or renewed."""

    header: Header
    number: int
    seconds: int


class Gateway:
    """Asks the members of one etcd; the next one if a member does not answer.

    Args:
        endpoints: The members' client URLs, such as ``http://127.0.0.1:2379``.
        timeout: Seconds that one member may take to answer, 0.01 to 60.

    Raises:
        ConfigError: An argument is invalid.

    Used by one event loop.
    """

    def __init__(self, endpoints: Sequence[str], *, timeout: float = 0.5) -> None:
        problems = Problems("Gateway")
        given = (endpoints,) if isinstance(endpoints, str) else tuple(endpoints)
        if not given or not all(_is_url(each) for each in given):
            problems.refuse("endpoints", endpoints, "one or more URLs like http://127.0.0.1:2379")
        self.timeout = problems.number("timeout", timeout, least=0.01, most=60)
        problems.done()
        self.endpoints = tuple(each.rstrip("/") for each in given)
        self._at = 0
        self._client: httpx.AsyncClient | None = None

    async def grant(self, seconds: int) -> Lease:
        """Return a new lease. Etcd may make it longer than asked, but not shorter.

        Raises:
            EtcdError: There is none; ``Unreachable``: there may be one, which nobody renews.
        """

        def read(answer: Answer) -> Lease:
            lease = Lease(_header(answer), _integer(answer, "ID"), _integer(answer, "TTL"))
            if lease.number < 1 or lease.seconds < seconds:
                raise EtcdError(f"etcd has granted lease {lease.number} for {lease.seconds} s")
            return lease

        return await self._ask("/v3/lease/grant", {"TTL": str(seconds)}, read)

    async def renew(self, lease: int) -> Lease:
        """Renew a lease for as long as it was granted.

        Raises:
            LeaseLost: It has ended.
            EtcdError: It may have been renewed.
        """

        def read(answer: Answer) -> Lease:
            renewed = _object(answer.get("result"), "result")
            header = _header(renewed)
            if _integer(renewed, "ID") != lease:
                raise EtcdError("etcd has renewed another lease than was asked")
            seconds = _integer(renewed, "TTL")
            if seconds < 1:  # what etcd leaves out is 0
                raise LeaseLost(f"lease {lease} has expired or was revoked")
            return Lease(header, lease, seconds)

        return await self._ask("/v3/lease/keepalive", {"ID": str(lease)}, read)

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys.

        Raises:
            EtcdError: It may go on until it expires.
        """
        with suppress(LeaseLost):
            await self._ask("/v3/lease/revoke", {"ID": str(lease)}, _header)

    async def campaign(self, election: str, lease: int, value: str) -> tuple[bytes, int]:
        """Wait until etcd elects this candidate; return its key and its revision.

        It waits without a limit, and asks one member. The answer alone proves nothing: etcd also
        gives it to a candidate whose lease has expired while it waited. After an error the
        candidate may have been elected, so the lease must be revoked and never used again.

        Raises:
            LeaseLost: The lease has ended.
            EtcdError: The connection has ended, or the answer cannot be used.
        """
        # A connection of its own: what renews the lease must not wait behind it.
        async with _client() as client:
            answer = await self._post(
                client,
                self.endpoints[self._at],
                "/v3/election/campaign",
                {"name": _encode(election), "lease": str(lease), "value": _encode(value)},
            )
        leader = _object(answer.get("leader"), "leader")
        key, revision = _decode(leader, "key"), _integer(leader, "rev")
        if _integer(leader, "lease") != lease or revision < 1 or not key:
            raise EtcdError("etcd has elected another candidate than asked for it")
        return key, revision

    async def view(self, election: str, own: bytes = b"") -> View:
        """Read who leads, and one's own key, at one moment.

        The answer comes from a majority of the members: a member that is cut off from the others
        gives none.

        Raises:
            EtcdError: There is no usable answer.
        """
        first = {
            "key": _encode(f"{election}/"),
            "range_end": _encode(f"{election}0"),  # the character after the slash
            "sort_target": "CREATE",
            "sort_order": "ASCEND",
            "limit": "1",
        }
        ranges: list[dict[str, object]] = [
            {"request_range": first},
            {"request_range": {"key": _encode(own or f"{election}/")}},  # no candidate's key
        ]

        def read(answer: Answer) -> View:
            given = answer.get("responses")
            responses = cast("list[object]", given) if isinstance(given, list) else []
            if len(responses) != len(ranges):
                raise EtcdError("etcd has answered another number of ranges than was asked")
            leader, mine = (_holder(each) for each in responses)
            return View(_header(answer), leader, mine)

        return await self._ask("/v3/kv/txn", {"success": ranges}, read)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(
        self,
        path: str,
        request: Mapping[str, object],
        read: Callable[[Answer], T],
    ) -> T:
        """Ask each member until one gives a usable answer. Only for what may be asked twice."""
        last: EtcdError | None = None
        for _ in self.endpoints:
            if self._client is None:
                self._client = _client()
            try:
                async with asyncio.timeout(self.timeout):
                    return read(
                        await self._post(self._client, self.endpoints[self._at], path, request)
                    )
            except TimeoutError:
                last = Unreachable(f"no answer within {self.timeout:g} s")
            except LeaseLost:
                raise
            except EtcdError as error:
                last = error
            self._at = (self._at + 1) % len(self.endpoints)
            await self.close()  # its connections may be the reason
        assert last is not None
        raise last

    async def _post(
        self, client: httpx.AsyncClient, endpoint: str, path: str, request: Mapping[str, object]
    ) -> Answer:
        body = bytearray()
        try:
            async with client.stream("POST", endpoint + path, json=request) as response:
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > LONGEST_ANSWER:
                        raise EtcdError(f"an answer of more than {LONGEST_ANSWER} bytes")
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        return _read(response.status_code, bytes(body))


def _client() -> httpx.AsyncClient:
    # Only http on the loopback: no certificates to load, no proxy of the environment to ask.
    return httpx.AsyncClient(
        timeout=None, trust_env=False, verify=False, headers={"Accept-Encoding": "identity"}
    )


def _read(status: int, body: bytes) -> Answer:
    try:
        given: Any = json.loads(body)
    except (ValueError, RecursionError):
        # A proxy's page instead of etcd's answer, or half an answer.
        raise Unreachable(f"status {status} and no JSON: {body[:60]!r}") from None
    answer = _object(given, f"status {status}")
    if status == 200 and "error" not in answer:
        return answer
    fault = answer.get("error", "no reason")
    if isinstance(fault, dict):  # as a stream has it
        fault = cast("Answer", fault).get("message", "no reason")
    if _NOT_FOUND in f"{fault}":
        raise LeaseLost(f"{fault}"[:200])
    # Another member may do better: this one has no leader, or times out while it asks for one.
    kind = Unreachable if status >= 500 else EtcdError
    raise kind(f"status {status}: {fault}"[:200])


def _header(answer: Answer) -> Header:
    header = _object(answer.get("header"), "header")
    found = Header(
        _integer(header, "cluster_id"), _integer(header, "revision"), _integer(header, "raft_term")
    )
    if found.cluster < 1 or found.revision < 1:
        raise EtcdError(f"an answer of no etcd: {header!r:.100}")
    return found


def _holder(response: Any) -> Holder | None:
    kvs = _object(_object(response, "response").get("response_range"), "range").get("kvs", [])
    if not isinstance(kvs, list):
        raise EtcdError(f"kvs={kvs!r:.60} is no list")
    if not kvs:
        return None
    first = _object(cast("list[object]", kvs)[0], "key")
    revision = _integer(first, "create_revision")
    if revision < 1:
        raise EtcdError("a key without its revision")
    value = _decode(first, "value").decode("utf-8", "replace")
    return Holder(_decode(first, "key"), revision, _integer(first, "lease"), value)


def _object(given: Any, what: str) -> Answer:
    if isinstance(given, dict):
        return cast("Answer", given)
    raise EtcdError(f"{what}: got {given!r:.60}, expected an object")


def _integer(answer: Answer, name: str) -> int:
    """Return a number of 64 bits, which JSON carries as a string; 0 where etcd leaves it out."""
    value = answer.get(name, "0")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        number = int(value)
        if number <= _LARGEST:
            return number
    raise EtcdError(f"{name}={value!r:.60} is no number of 64 bits")


def _encode(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def _decode(answer: Answer, name: str) -> bytes:
    value = answer.get(name, "")
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise EtcdError(f"{name}={value!r:.60} is not in base64")


def _is_url(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
