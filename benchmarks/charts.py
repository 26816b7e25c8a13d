"""Pictures of the comparison for the README: the same bars on a light and on a dark ground.

Run from the project's root: ``python -m benchmarks.charts``. The same figures give the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.compare import RESULTS, STANDARD

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).resolve().parent
# Scenarios that are shown, and their titles.
SHOWN = {
    "success": "Breaker: a call succeeds",
    "rejection": "Breaker: open, rejects",
    "async success": "Breaker: an await succeeds",
    "retry": "Retry: first attempt succeeds",
    "limit": "Rate limiter: takes a token",
    "async bulkhead": "Bulkhead: async with",
}
THEMES = {
    "light": {"ink": "#1f2328", "faint": "#59636e", "ours": "#0969da", "others": "#afb8c1"},
    "dark": {"ink": "#f0f6fc", "faint": "#9198a1", "ours": "#4493f8", "others": "#4d5560"},
}


def draw(scenarios: Mapping[str, Any], theme: str, path: Path, caption: str) -> None:
    """Write one picture."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    colours = THEMES[theme]
    settings = {
        "svg.hashsalt": "holdfast", "svg.fonttype": "none", "font.size": 9,
        "font.family": "sans-serif", "text.color": colours["ink"],
    }  # fmt: skip
    shown = {name: title for name, title in SHOWN.items() if scenarios[name]["figures"]}
    with mpl.rc_context(settings):
        rows = -(-len(shown) // 2)
        figure, axes = plt.subplots(rows, 2, figsize=(9.2, 1.9 * rows), squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, (name, title) in zip(axes.flat, shown.items(), strict=False):
            _bars(axis, title, scenarios[name]["figures"], colours)
        figure.tight_layout(h_pad=1.6, w_pad=2.0, rect=(0, 0.03, 1, 1))
        figure.text(0.012, 0.008, caption, fontsize=8, color=colours["faint"])
        figure.savefig(path, transparent=True, metadata={"Date": None})
        plt.close(figure)


def _bars(axis: Any, title: str, figures: Mapping[str, float], colours: Mapping[str, str]) -> None:
    """Draw one scenario: the least on top, on a logarithmic scale, each with its nanoseconds."""
    from math import log10

    ordered = sorted(figures.items(), key=lambda item: -item[1])
    least = min(figures.values())
    lengths = [log10(ns / least) + 0.25 for _, ns in ordered]
    ours = [library == "holdfast" for library, _ in ordered]
    axis.barh(
        range(len(ordered)),
        lengths,
        height=0.68,
        color=[colours["ours"] if one else colours["others"] for one in ours],
    )
    for at, ((library, ns), length) in enumerate(zip(ordered, lengths, strict=True)):
        standard = library.startswith(STANDARD)
        axis.text(
            -0.06, at, library, ha="right", va="center",
            color=colours["faint" if standard else "ink"],
            fontweight="bold" if library == "holdfast" else "normal",
        )  # fmt: skip
        axis.text(length + 0.06, at, f"{ns:,.0f} ns", va="center", color=colours["faint"])
    axis.set_title(title, loc="left", fontsize=10, fontweight="bold", color=colours["ink"])
    axis.set_xlim(0, 3.9)


def main() -> None:
    """Draw the figures of the oldest Python that was compared."""
    written = json.loads(RESULTS.read_text())
    version = min(written)
    caption = f"ns a call, the function included; logarithmic; CPython {version}"
    for theme in THEMES:
        draw(written[version]["scenarios"], theme, HERE / f"chart-{theme}.svg", caption)


if __name__ == "__main__":
    main()
