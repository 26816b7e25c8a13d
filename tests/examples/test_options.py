"""What the commands of the examples refuse in a line, before anything is started."""

from collections.abc import Callable
from pathlib import Path

import pytest

from examples.dwcp_node.__main__ import main as node
from examples.market_collector.__main__ import main as collector

EACH = pytest.mark.parametrize("main", [node, collector])


@EACH
@pytest.mark.parametrize("seconds", ["-3", "0", "nan", "inf", "soon"])
def test_a_run_of_no_possible_length_is_refused(
    main: Callable[[list[str]], int], seconds: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit, match="2"):
        main([f"--seconds={seconds}"])
    assert f"got '{seconds}', allowed: more than 0, up to 604800" in capsys.readouterr().err


@EACH
def test_a_log_that_cannot_be_written_is_told_in_a_line(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "missing" / "log"
    assert main(["--log", str(file)]) == 2
    said = capsys.readouterr().err
    assert said == f"--log {file}: cannot be written: No such file or directory\n"
