"""A shop whose recommendations fail for a while: watch it for 20 seconds.

Run ``python examples/health_and_degradation.py``, or with another number of seconds. A small HTTP
server is the service of the recommendations. A monitor checks its port and its answers. A breaker
guards the calls of users. Their failures or the check open it, and the check closes it. While the
service fails, the shop degrades: it shows best sellers, and two features are off.
"""

import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import holdfast as hf
from holdfast.degradation import DegradationManager, Level
from holdfast.health import HealthMonitor, HttpCheck, TcpCheck

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
BEGAN = time.monotonic()
printing = threading.Lock()


def say(text: str) -> None:
    with printing:  # lines of several threads
        print(f"{time.monotonic() - BEGAN:5.1f} s  {text}", flush=True)


class Recommendations(BaseHTTPRequestHandler):
    """In place of a service: it answers, or says that it cannot."""

    works = True

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200 if self.works else 503)
        self.end_headers()
        self.wfile.write(b"a book about bridges" if self.works else b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Be silent: the lines of the example are enough."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Recommendations)
threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
host, port = "127.0.0.1", server.server_port
url = f"http://{host}:{port}/"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# An open breaker would wait for ten minutes, and then try the call of a user.
breaker = hf.CircuitBreaker("recommendations", failure_threshold=3, reset_timeout=600)
monitor = HealthMonitor("shop", interval=SECONDS / 40, timeout=1)
answers = HttpCheck("answers", url, failures=2, successes=2, critical=False)
monitor.add(answers, closes=breaker, opens=True)
monitor.add(TcpCheck("port", host, port, critical=False))

# Listeners are called in the order in which they were added: the cause is shown before the effects.
monitor.on_event(lambda event: say(f"{event.kind}: {event.name} is {event.new}"))


@breaker.on_event
def tell(event: hf.Event) -> None:
    if event.kind == "transition":
        say(f"breaker: {event.new}")


shop = DegradationManager("shop", stable_time=SECONDS / 10)
recommending = shop.component("recommending")
recommending.follow(monitor, check="answers")
recommending.follow(breaker)
shop.feature("recommendations", recommending, up_to=Level.NORMAL)
shop.feature("newsletter", needs=["recommendations"])


@shop.on_event
def show(event: hf.Event) -> None:
    if event.kind == "feature":
        say(f"feature: {event.name} is {'on' if event.new else 'off'}")
    else:
        say(f"level: {event.name} is {event.new}")


@breaker
def recommended() -> str:
    with opener.open(url, timeout=1) as answer:
        return str(answer.read().decode())


def page() -> str:
    """Return what a user sees."""

    def normal() -> str:
        try:
            return recommended()
        except (OSError, hf.CircuitOpenError):
            return "no recommendation"

    return str(recommending.execute(normal, degraded=lambda: "best sellers"))


def serve(seconds: float) -> None:
    """Serve users for a time, and until everything has noticed whether the service works."""
    seen, begin, is_over = None, time.monotonic(), False
    while not is_over:
        is_over = time.monotonic() > begin + seconds and has_settled()
        shown = page()
        if shown != seen:
            say(f"users see: {shown}")
        seen = shown
        time.sleep(SECONDS / 200)


def has_settled() -> bool:
    closed = breaker.state is hf.State.CLOSED
    found = {shop.is_enabled("newsletter"), closed, monitor.status("answers").healthy}
    return found == {Recommendations.works}


with monitor:
    serve(SECONDS * 0.2)
    say("--- the service begins to fail")
    Recommendations.works = False
    serve(SECONDS * 0.3)
    say("--- the service works again")
    Recommendations.works = True
    serve(SECONDS * 0.4)
say(f"the breaker is {breaker.state}, the shop is {shop.overall}")
server.shutdown()
server.server_close()
