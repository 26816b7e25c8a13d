"""A function that fails as often as a test says."""


def failing(times, error=ConnectionError):
    """Return a function that raises so many times, and its calls."""
    calls = []

    def fetch(*args, **kwargs):
        calls.append((args, kwargs))
        if len(calls) <= times:
            raise error(f"number {len(calls)}")
        return "ok"

    return fetch, calls
