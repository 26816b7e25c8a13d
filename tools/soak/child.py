"""A process of the soak: it takes its place, beats until it is told to end, and may misbehave.

    python -I child.py FOLDER NAME MANNER

Its place is a lock on a file. A second instance that finds it taken says so in FOLDER/twice, which
the soak reads at its end.
"""

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

BEAT = 0.1
MANNERS = ("plain", "stubborn", "family", "flood", "brief")


def main(folder: Path, name: str, manner: str) -> int:
    """Beat until SIGTERM."""
    place = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with (folder / "twice").open("a") as twice:
            twice.write(f"{name} {os.getpid()} {time.monotonic():.3f}\n")
        return 97
    if manner == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if manner == "family":
        subprocess.Popen(["sleep", "3600"])
    beat = folder / f"{name}.beat"
    ends_at = time.monotonic() + (random.uniform(0.5, 4.0) if manner == "brief" else 1e9)
    while time.monotonic() < ends_at:
        beat.touch()
        if manner == "flood":
            sys.stdout.write("x" * 70_000 + "\n")
            sys.stdout.flush()
        time.sleep(BEAT)
    return 3


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
