"""Kill, break and count for a long time: ``make soak``, or ``python -m tools.soak --seconds 600``.

Three parts run side by side, each in a process of its own, so that what one leaves behind is seen:

* ``supervised``: a supervisor with processes, threads and tasks that are killed and broken;
* ``cluster``: three nodes and etcd that are killed, cut off, stopped and deposed, with messages;
* ``handovers``: elections whose leaders are stopped, cut off or lose their lease.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tools.soak.census import mark

ROOT = Path(__file__).resolve().parents[2]
LAST_LINES = 40
PARTS = ("supervised", "cluster", "handovers")


def main() -> int:
    """Run the parts, or one of them here; return 0 if nothing went wrong."""
    parser = argparse.ArgumentParser("python -m tools.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--part", choices=PARTS, nargs="+", help="only these")
    parser.add_argument("--here", action="store_true", help="one part, in this process")
    options = parser.parse_args()
    parts: list[str] = options.part or list(PARTS)
    if options.here:
        return _run_here(parts[0], options.seconds, options.seed)
    print(f"soak: {', '.join(parts)} for {options.seconds:g} s; --seed {options.seed}", flush=True)
    return asyncio.run(_run_all(parts, options.seconds, options.seed))


def _run_here(part: str, seconds: float, seed: int) -> int:
    mark()
    if part == "supervised":
        from tools.soak.supervised import run
    elif part == "cluster":
        from tools.soak.cluster import run
    else:
        from tools.soak.handovers import run
    wrong = run(seconds, seed, lambda text: print(text, flush=True))
    for line in wrong:
        print(f"WRONG: {line}", flush=True)
    return 1 if wrong else 0


async def _run_all(parts: list[str], seconds: float, seed: int) -> int:
    began = time.monotonic()

    async def run(part: str) -> bool:
        arguments = ("--part", part, "--here", "--seconds", f"{seconds}", "--seed", f"{seed}")
        with tempfile.TemporaryFile() as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tools.soak", *arguments,
                cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=errors,
            )  # fmt: skip
            assert process.stdout is not None
            try:
                while line := await process.stdout.readline():
                    text = line.decode(errors="replace").rstrip()
                    print(f"{time.monotonic() - began:7.1f} s  {part:<10}  {text}", flush=True)
                is_good = await process.wait() == 0
            finally:
                if process.returncode is None:
                    process.terminate()
                    await process.wait()
            if not is_good:
                errors.seek(0)
                last = errors.read().decode(errors="replace").splitlines()[-LAST_LINES:]
                print(f"--- what {part} has logged last\n" + "\n".join(last), flush=True)
            return is_good

    went = dict(zip(parts, await asyncio.gather(*map(run, parts)), strict=True))
    print("soak:", ", ".join(f"{part} {'good' if went[part] else 'WRONG'}" for part in parts))
    return 0 if all(went.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
