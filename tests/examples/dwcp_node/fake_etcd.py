"""An etcd that does as it is told: for answers that a real one gives once in a year.

It knows leases, one election and transactions that read, as etcd's gateway does. What a real etcd
does is tested with a real one.
"""

import asyncio
import base64
import json
from dataclasses import dataclass


@dataclass
class Key:
    key: bytes
    revision: int
    lease: int
    value: bytes

    def told(self):
        return {
            "key": base64.b64encode(self.key).decode(),
            "create_revision": str(self.revision),
            "lease": str(self.lease),
            "value": base64.b64encode(self.value).decode(),
        }


class RefusalError(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class FakeEtcd:
    """Leases do not expire by themselves: see ``expire``."""

    def __init__(self):
        self.cluster, self.revision, self.raft_term = 7, 10, 2
        self.least_ttl = 1
        self.leases: dict[int, int] = {}
        self.keys: dict[bytes, Key] = {}
        self.asked: list[tuple[str, dict]] = []
        # By path: an awaitable function of the request. What it returns, bytes, goes over the wire
        # and ends the connection; None, and etcd answers as usual.
        self.instead = {}
        self.drips = False  # a byte now and then, of an answer that never ends
        self.after = {}  # by path: a function of the answer, which may change it
        self._changed = asyncio.Condition()
        self._tasks = set()
        self._next_lease = 100

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    # ---- what a test does to it ----

    async def expire(self, lease):
        self.leases.pop(lease, None)
        await self.delete(*(key.key for key in self.keys.values() if key.lease == lease))

    async def delete(self, *keys):
        for key in keys:
            del self.keys[key]
            self.revision += 1
        async with self._changed:
            self._changed.notify_all()

    async def stand(self, lease, value, name="dwcp"):
        """A candidate from elsewhere."""
        self.leases.setdefault(lease, 60)
        self._add(f"{name}/{lease:x}".encode(), lease, value.encode())

    def leader(self):
        return min(self.keys.values(), key=lambda each: each.revision, default=None)

    def count(self, path):
        return sum(each == path for each, _ in self.asked)

    # ---- what it answers ----

    def header(self):
        return {
            "cluster_id": str(self.cluster),
            "member_id": "1",
            "revision": str(self.revision),
            "raft_term": str(self.raft_term),
        }

    def _add(self, key, lease, value):
        if key not in self.keys:
            self.revision += 1
            self.keys[key] = Key(key, self.revision, lease, value)

    def _need(self, request):
        lease = int(request["ID" if "ID" in request else "lease"])
        if lease not in self.leases:
            raise RefusalError(404, "etcdserver: requested lease not found")
        return lease

    async def _grant(self, request):
        self._next_lease += 1
        ttl = self.leases[self._next_lease] = max(self.least_ttl, int(request["TTL"]))
        return {"header": self.header(), "ID": str(self._next_lease), "TTL": str(ttl)}

    async def _keepalive(self, request):
        result = {"header": self.header(), "ID": request["ID"]}
        if (ttl := self.leases.get(int(request["ID"]))) is not None:
            result["TTL"] = str(ttl)
        return {"result": result}

    async def _revoke(self, request):
        await self.expire(self._need(request))
        return {"header": self.header()}

    async def _campaign(self, request):
        lease, name = self._need(request), base64.b64decode(request["name"])
        key = name + f"/{lease:x}".encode()
        self._add(key, lease, base64.b64decode(request["value"]))
        revision = self.keys[key].revision
        header = self.header()
        async with self._changed:  # as etcd: until all that came before have gone
            await self._changed.wait_for(
                lambda: not any(each.revision < revision for each in self.keys.values())
            )
        leader = {"name": request["name"], "key": base64.b64encode(key).decode()}
        return {"header": header, "leader": {**leader, "rev": str(revision), "lease": str(lease)}}

    async def _txn(self, request):
        responses = []
        for each in request["success"]:
            asked = each["request_range"]
            start = base64.b64decode(asked["key"])
            end = base64.b64decode(asked.get("range_end", "")) or start + b"\0"
            found = [key for key in self.keys.values() if start <= key.key < end]
            found.sort(key=lambda key: key.revision)
            response = {"header": {"revision": str(self.revision)}}
            if found:
                response |= {"kvs": [found[0].told()], "count": "1"}
            responses.append({"response_range": response})
        return {"header": self.header(), "succeeded": True, "responses": responses}

    async def _answer(self, path, request):
        own = {
            "/v3/lease/grant": self._grant,
            "/v3/lease/keepalive": self._keepalive,
            "/v3/lease/revoke": self._revoke,
            "/v3/election/campaign": self._campaign,
            "/v3/kv/txn": self._txn,
        }
        try:
            answer, status = await own[path](request), 200
            if path in self.after:
                answer = self.after[path](answer) or answer
        except RefusalError as refusal:
            answer, status = {"error": str(refusal), "message": str(refusal)}, refusal.status
        return reply(json.dumps(answer).encode(), status)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while line := await reader.readline():
                path, length = line.split()[1].decode(), 0
                while (header := await reader.readline()).strip():
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.partition(b":")[2])
                request = json.loads(await reader.readexactly(length))
                self.asked.append((path, request))
                if self.drips:
                    await drip(writer)
                if path in self.instead and (raw := await self.instead[path](request)) is not None:
                    writer.write(raw)
                    return
                writer.write(await self._answer(path, request))
                await writer.drain()
        except (asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


def reply(body, status=200):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


async def drip(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def never(_):
    await asyncio.get_running_loop().create_future()
