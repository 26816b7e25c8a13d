"""Degraded mode as a switch: whether calls run one by one from the start, and may fall back."""

from __future__ import annotations

from holdfast.degradation.component import Component
from holdfast.degradation.level import Level, read_level
from holdfast.validation import Problems

__all__ = ["DegradationMode"]


class DegradationMode:
    """A switch that ``gather_or_sequential`` asks.

    While degraded mode is on, calls run one by one from the start. Without the fallback, concurrent
    calls never go on one by one, and their failures stand; for work that must not run twice.

    Args:
        enabled: Whether degraded mode is on.
        fallback: Whether concurrent calls may go on one by one.
        component: A component that turns degraded mode on as well, by its level. None: none does.
        at: The level of the component from which on degraded mode is on.

    Raises:
        ConfigError: One or more arguments are invalid; the message lists all of them.

    Safe to share between threads and event loops.

    >>> mode = DegradationMode()
    >>> mode.enabled, mode.fallback
    (False, True)
    >>> mode.enable()
    >>> mode.enabled
    True
    """

    __slots__ = ("_at", "_component", "_enabled", "_fallback")

    def __init__(
        self,
        *,
        enabled: bool = False,
        fallback: bool = True,
        component: Component | None = None,
        at: Level | int | str = Level.SEVERELY_DEGRADED,
    ) -> None:
        problems = Problems("DegradationMode")
        self._enabled = problems.flag("enabled", enabled)
        self._fallback = problems.flag("fallback", fallback)
        if component is not None:
            problems.instance("component", component, Component, "a Component, or None")
        self._component = component
        self._at = read_level(problems, "at", at)
        problems.done()

    @property
    def enabled(self) -> bool:
        """Whether degraded mode is on: by hand, or by the level of the component."""
        component = self._component
        return self._enabled or (component is not None and component.level >= self._at)

    @property
    def fallback(self) -> bool:
        """Whether concurrent calls may go on one by one."""
        return self._fallback

    def enable(self) -> None:
        """Turn degraded mode on. Calls that run now are not changed."""
        self._turn(True)

    def disable(self) -> None:
        """Turn degraded mode off, unless the level of the component turns it on."""
        self._turn(False)

    def enable_fallback(self) -> None:
        """Let concurrent calls go on one by one."""
        self._fallback = True

    def disable_fallback(self) -> None:
        """Have concurrent calls never go on one by one."""
        self._fallback = False

    def _turn(self, on: bool) -> None:
        from holdfast.records import note

        was, self._enabled = self._enabled, on
        if was is not on:
            if on:
                text = "degraded mode is on: gathered calls run one by one"
                note("sequential_on", "degradation", None, text)
            else:
                note("sequential_off", "degradation", None, "degraded mode is off")

    def __repr__(self) -> str:
        return f"<DegradationMode {'on' if self.enabled else 'off'}>"
