"""Pictures of how costs grow: small multiples, cost of one more over how many there are, log-log.

Run from the project's root: ``python -m benchmarks.growth_chart``. The same figures give the same
bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.charts import HERE, THEMES
from benchmarks.growth import RESULTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

COLUMNS = 4
STYLES = ({"marker": "o", "linestyle": "-"}, {"marker": "s", "linestyle": "--"})


def draw(panels: Sequence[Mapping[str, Any]], theme: str, path: Path, caption: str) -> None:
    """Write one picture."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    colours = THEMES[theme]
    settings = {
        "svg.hashsalt": "holdfast", "svg.fonttype": "none", "font.size": 8,
        "font.family": "sans-serif", "text.color": colours["ink"],
    }  # fmt: skip
    with mpl.rc_context(settings):
        rows = -(-len(panels) // COLUMNS)
        figure, axes = plt.subplots(rows, COLUMNS, figsize=(11.2, 2.1 * rows), squeeze=False)
        for axis in axes.flat:
            axis.set_visible(False)
        for axis, panel in zip(axes.flat, panels, strict=False):
            _lines(axis, panel, colours)
        figure.tight_layout(h_pad=1.4, w_pad=1.2, rect=(0, 0.03, 1, 1))
        figure.text(0.012, 0.006, caption, fontsize=8, color=colours["faint"])
        figure.savefig(path, transparent=True, metadata={"Date": None})
        plt.close(figure)


def _lines(axis: Any, panel: Mapping[str, Any], colours: Mapping[str, str]) -> None:
    """Draw one panel: a flat line costs the same whatever is there."""
    axis.set_visible(True)
    shades = (colours["ours"], colours["faint"])
    values = []
    for (label, points), shade, style in zip(panel["lines"].items(), shades, STYLES, strict=False):
        found = sorted((int(n), value) for n, value in points.items() if value > 0)
        values += [value for _, value in found]
        axis.plot(
            [n for n, _ in found], [value for _, value in found],
            color=shade, label=label, markersize=3, linewidth=1.4, **style,
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    if values:  # at least a hundredfold, so that noise looks like noise
        middle = (min(values) * max(values)) ** 0.5
        reach = max(10.0, (max(values) / min(values)) ** 0.5 * 1.5)
        axis.set_ylim(middle / reach, middle * reach)
    axis.set_xlim(7, 30_000)
    axis.set_xticks([10, 100, 1_000, 10_000], ["10", "100", "1,000", "10,000"])
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.minorticks_off()
    axis.tick_params(colors=colours["faint"], labelsize=7, length=2)
    axis.set_title(panel["title"], loc="left", fontsize=9, fontweight="bold", color=colours["ink"])
    axis.set_ylabel(panel["unit"], fontsize=7, color=colours["faint"])
    axis.grid(axis="y", color=colours["others"], linewidth=0.4, alpha=0.5)
    for side, spine in axis.spines.items():
        spine.set_visible(side in {"left", "bottom"})
        spine.set_color(colours["others"])
    if len(panel["lines"]) > 1:
        axis.legend(frameon=False, fontsize=7, labelcolor=colours["ink"], loc="best")


def main() -> None:
    """Draw the figures of the oldest Python that was measured."""
    written = json.loads(RESULTS.read_text(encoding="utf-8"))
    version = min(written)
    caption = f"cost over number, both logarithmic; flat: linear in all; CPython {version}"
    for theme in THEMES:
        draw(written[version], theme, HERE / f"growth-{theme}.svg", caption)


if __name__ == "__main__":
    main()
