"""Configuration: YAML or TOML and the environment, with file, line and key in every error.

    from holdfast.agent.config import CollectorSettings, load
    settings = load(CollectorSettings, "config/error_recovery.yaml")

Needs the extra ``agent``.
"""

from holdfast.errors import MissingExtraError

try:
    import pydantic as _pydantic  # noqa: F401 - the modules below import what they need of it
except ModuleNotFoundError as missing:
    if missing.name != "pydantic":  # something else is missing, in its own code
        raise
    raise MissingExtraError("agent", __name__) from None

from holdfast.agent.config.collector import CollectorSettings
from holdfast.agent.config.duration import parse_duration
from holdfast.agent.config.loading import load
from holdfast.agent.config.settings import Contradiction, Env, Seconds, Settings

__all__ = [
    "CollectorSettings",
    "Contradiction",
    "Env",
    "Seconds",
    "Settings",
    "load",
    "parse_duration",
]
