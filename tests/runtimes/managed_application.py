"""A WSGI application whose manager, with a preset that starts it, was made where it was loaded."""

import json

import holdfast as hf

manager = hf.ResilienceManager("shop", presets="dwcp")
manager.health.check_now()


@manager.operation("send")
def send(text):
    """A function that was guarded there."""
    return text


@hf.protect("geocoding")
def find(text):
    """Another, of the manager that is there for everybody."""
    return text


def application(_, start_response):
    """Say how the manager is."""
    if manager.running:
        manager.health.check_now()
    report = {
        "running": manager.running,
        "healthy": manager.is_healthy(),
        "calls": [send("a"), manager.execute("message", len, "bc"), find("d")],
    }
    body = json.dumps(report).encode()
    start_response("200 OK", [("Content-Length", str(len(body))), ("Connection", "close")])
    return [body]
