"""Parts of a node that a test acts: a transport, and others, shaped as the original's."""

from __future__ import annotations


class Part:
    """A part with ``start``, ``stop`` and ``is_healthy``."""

    def __init__(self, name="part", done=None):
        self.name = name
        self.done = [] if done is None else done
        self.fails = None
        self.healthy = True
        self.runs = False
        self.starts = 0

    def start(self):
        self.done.append(("start", self.name))
        self.starts += 1
        if self.fails is not None:
            raise self.fails
        self.runs = True

    def stop(self):
        self.done.append(("stop", self.name))
        self.runs = False

    def is_healthy(self):
        return self.runs and self.healthy


class Transport:
    """A transport with ``start``, ``close``, ``health_check`` and ``send``."""

    def __init__(self, done=None):
        self.done = [] if done is None else done
        self.is_open = False
        self.error = None
        self.sent = []

    def start(self):
        self.done.append(("start", "transport"))
        self.is_open = True

    def close(self):
        self.done.append(("stop", "transport"))
        self.is_open = False

    def health_check(self):
        if not self.is_open:
            raise ConnectionError("closed")
        if self.error is not None:
            raise self.error

    def send(self, *message):
        Transport.health_check(self)
        self.sent.append(message)
        return len(self.sent)

    def receive(self):
        Transport.health_check(self)
        return "received"


class AsyncTransport(Transport):
    async def start(self):
        Transport.start(self)

    async def aclose(self):
        Transport.close(self)

    close = aclose

    async def health_check(self):
        Transport.health_check(self)

    async def send(self, *message):
        return Transport.send(self, *message)

    async def receive(self):
        return Transport.receive(self)
