"""Real frameworks: what has no wheel for an interpreter (without the GIL) is left out there."""

from importlib.util import find_spec

NEEDED = {
    "test_celery.py": "celery",
    "test_commands.py": "click",
    "test_fastapi.py": "fastapi",
    "test_pickled_by_value.py": "cloudpickle",
    "test_pydantic.py": "pydantic",
    "test_sqlalchemy_events.py": "sqlalchemy",
    "test_starlette.py": "starlette",
}
collect_ignore = [file for file, module in NEEDED.items() if find_spec(module) is None]
