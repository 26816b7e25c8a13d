"""Real frameworks: what has no wheel for an interpreter is left out there.

With ``REQUIRE_REAL=1``, as in continuous integration, all are there: a test without its own fails.
"""

import os
from importlib.util import find_spec

NEEDED = {
    "test_celery.py": "celery",
    "test_commands.py": "click",
    "test_fastapi.py": "fastapi",
    "test_metrics_mounted.py": "fastapi",
    "test_pickled_by_value.py": "cloudpickle",
    "test_pydantic.py": "pydantic",
    "test_sqlalchemy_events.py": "sqlalchemy",
    "test_starlette.py": "starlette",
}
collect_ignore = (
    []
    if os.environ.get("REQUIRE_REAL") == "1"
    else [file for file, module in NEEDED.items() if find_spec(module) is None]
)
