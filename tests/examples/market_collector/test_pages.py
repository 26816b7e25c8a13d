"""What the pages of the market collector show, runs."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "examples/market_collector/EXCHANGES.md"


def test_the_page_about_exchanges_runs(capsys):
    [block] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(compile(block, PAGE, "exec"), {})
    assert "'served': {'symbols': 1, 'ticker': 0, 'candles': 1}" in capsys.readouterr().out
