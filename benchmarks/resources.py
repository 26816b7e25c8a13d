"""What a resource manager costs, by how many resources are registered.

    python -m benchmarks.resources

CPU time of this thread, the least of many rounds. Then what the other ways to register one cost.
P is what ``functools.partial`` adds to a call,
measured in the same rounds: a shared machine changes both, and the ratio little.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import repeat
from time import process_time, thread_time

import holdfast as hf

SIZES = (10, 1_000, 20_000)
ROUNDS = 200
PAIRS = 500  # a round
LOOKS = 5


def least(
    work: Callable[[], object], rounds: int, clock: Callable[[], float] = thread_time
) -> float:
    """Return the least seconds of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        began = clock()
        work()
        best = min(best, clock() - began)
    return best


def empty() -> None:
    """Cost nothing but the call."""


def call(fn: Callable[[], object]) -> None:
    for _ in repeat(None, PAIRS):
        fn()


def pairs(resources: hf.ResourceManager) -> None:
    register, unregister = resources.register, resources.unregister
    for _ in repeat(None, PAIRS):
        register("one more", "file", empty)
        unregister("one more")


def measure(size: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the costs with so many resources registered.

    Returns:
        ``pair``: seconds of a registration and its end; ``ratio``: the same in P; ``idle`` and
        ``leaks``: seconds of a look, for each resource; ``stop``: seconds of the clean-up of each.
    """
    resources = hf.ResourceManager("benchmark", limits={}, max_resources=2 * size)
    for at in range(size):
        resources.register(at, "file", empty).touch()
    bound = partial(empty)
    best = {"pair": float("inf"), "bound": float("inf"), "bare": float("inf")}
    for _ in range(rounds):  # in turn: whatever slows the machine slows all
        best["pair"] = min(best["pair"], least(partial(pairs, resources), 1))
        best["bound"] = min(best["bound"], least(partial(call, bound), 1))
        best["bare"] = min(best["bare"], least(partial(call, empty), 1))
    found = {
        "pair": best["pair"] / PAIRS,
        "ratio": best["pair"] / max(best["bound"] - best["bare"], 1e-9 * PAIRS),
        "idle": least(resources.clean_idle, LOOKS) / size,
        "leaks": least(resources.find_leaks, LOOKS) / size,
    }
    assert resources.count() == size
    found["stop"] = least(partial(resources.stop, 600), 1, process_time) / size
    assert resources.count() == 0
    return found


class Tracked:
    """An object that has weak references."""


def ways(resources: hf.ResourceManager) -> dict[str, Callable[[], object]]:
    """Return the ways to register one and to end that, each as a function that does it often."""
    register, unregister = resources.register, resources.unregister
    track, operation = resources.track, resources.operation
    values = {"host": "db1", "port": 5432}

    def metadata() -> None:
        for _ in repeat(None, PAIRS):
            register("one more", "file", empty, metadata=values)
            unregister("one more")

    def pair() -> None:
        for _ in repeat(None, PAIRS):
            register(("one", 1), "file", empty)
            unregister(("one", 1))

    def block() -> None:
        for _ in repeat(None, PAIRS):
            with register("one more", "file", empty):
                pass

    def operations() -> None:
        for _ in repeat(None, PAIRS):
            with operation("fetch"):
                pass

    def tracked() -> None:
        for _ in repeat(None, PAIRS):
            track(Tracked(), "file")

    return {
        "register and unregister": partial(pairs, resources),
        "the same with metadata": metadata,
        "the same with a tuple as the identifier": pair,
        "a `with` block that runs the clean-up": block,
        "a `with` block of an operation": operations,
        "an object that is tracked, and dies": tracked,
    }


def measure_ways(rounds: int = ROUNDS) -> dict[str, tuple[float, float]]:
    """Return the seconds of each way, without an event loop and in one."""
    resources = hf.ResourceManager("ways", limits={})

    def run() -> dict[str, float]:
        found = ways(resources)
        best = dict.fromkeys(found, float("inf"))
        for _ in range(rounds):
            for name, way in found.items():
                best[name] = min(best[name], least(way, 1) / PAIRS)
        return best

    async def run_in_loop() -> dict[str, float]:
        return run()

    plain, in_loop = run(), asyncio.run(run_in_loop())
    return {name: (plain[name], in_loop[name]) for name in plain}


def main() -> None:
    """Print a line for each size, and for each way."""
    print("| registered | register and unregister | in P | look, each | leaks, each | stop, each |")
    print("|---:|---:|---:|---:|---:|---:|")
    for size in SIZES:
        found = measure(size)
        us = {name: f"{1e6 * seconds:.2f} µs" for name, seconds in found.items()}
        print(
            f"| {size:,} | {us['pair']} | {found['ratio']:.0f} | {us['idle']} | {us['leaks']}"
            f" | {us['stop']} |"
        )
    print("\n| registered and ended | a time | in an event loop |")
    print("|---|---:|---:|")
    for name, (plain, in_loop) in measure_ways().items():
        print(f"| {name} | {1e6 * plain:.1f} µs | {1e6 * in_loop:.1f} µs |")


if __name__ == "__main__":
    main()
