"""Programs under gevent or eventlet, with the same names for both. Not here: what is tested."""

import textwrap

from tests.apart import run_apart

PATCH = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
NAMES = {
    "gevent": """
        import gevent
        from gevent import sleep, spawn, kill, Timeout as TheirTimeout
        from gevent.event import Event as Flag
        from gevent.monkey import get_original
        from gevent._hub_local import get_hub_if_exists as hub_here
        start_real_thread = get_original("_thread", "start_new_thread")
        real_lock = get_original("_thread", "allocate_lock")
        def together(*functions):
            gevent.joinall([spawn(function) for function in functions], raise_error=True)
    """,
    "eventlet": """
        import eventlet
        from eventlet import sleep, spawn, kill, Timeout as TheirTimeout
        from eventlet.patcher import original
        start_real_thread = original("_thread").start_new_thread
        real_lock = original("_thread").allocate_lock
        def hub_here():
            return getattr(eventlet.hubs._threadlocal, "hub", None)
        class Flag(eventlet.Event):
            set = eventlet.Event.send
        def together(*functions):
            for one in [spawn(function) for function in functions]:
                one.wait()
    """,
}


def run_scenes(
    library: str, patched: bool, scenes: dict[str, str], *, late: bool = False
) -> dict[str, list[str]]:
    """Run every scene under ``library``, the standard library patched or not; return their lines.

    ``late``: it is patched once holdfast has been imported.

    All in one process of their own, one after the other. They have ``spawn``, ``sleep``, ``kill``,
    ``together`` (spawn and wait for all), ``Flag``, ``TheirTimeout``, ``start_real_thread``,
    ``real_lock``, ``hf``, and a list ``log`` of their own.
    """
    parts = [
        "import warnings; warnings.simplefilter('ignore')",  # theirs
        "import holdfast" if late else "",
        PATCH[library] if patched else "",
        NAMES[library],
        "warnings.resetwarnings(); warnings.simplefilter('error')",
        "warnings.filterwarnings('ignore', '.*fork', DeprecationWarning)",
        "import holdfast as hf",
        *(_apart(name, source) for name, source in scenes.items()),
    ]
    lines = run_apart("\n".join(map(textwrap.dedent, parts))).splitlines()
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("== "):
            here = found[line[3:]] = []
        else:
            here.append(line)
    return found


def _apart(name: str, source: str) -> str:
    body = textwrap.indent(textwrap.dedent(source), "        ")
    return f"""
def scene():
    log = []
    try:
{body}
    except BaseException as error:
        print(repr(error))
print("== {name}", flush=True)
scene()
"""
