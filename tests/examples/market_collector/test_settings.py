"""The collector reads its settings from a file and from the environment, and says what is wrong."""

from examples.market_collector.__main__ import main
from examples.market_collector.collector import make_manager
from examples.market_collector.settings import FILE, read_settings


def test_the_collector_runs_with_what_its_file_and_the_environment_say():  # EV-01..09, YK-01..14
    environ = {"CIRCUIT_BREAKER_FAILURE_THRESHOLD": "9", "DATABASE_QUERY_TIMEOUT": "1500ms"}
    rm = make_manager(read_settings(FILE, environ))
    try:
        said = rm.circuit_breaker("exchange").describe()
        assert "failure_threshold=9," in said
        assert "reset_timeout=60.0," in said
        assert rm.timeouts.timeout_for("database_query") == 1.5
        assert rm.timeouts.timeout_for("api_call") == 10.0
    finally:
        rm.stop()


def test_what_is_wrong_with_the_settings_is_told_line_by_line(tmp_path, capsys, monkeypatch):
    file = tmp_path / "wrong.yaml"
    file.write_text("error_recovery:\n  timeouts:\n    api_call: 60x\n    api_cal: 5s\n")
    monkeypatch.setenv("RETRY_BASE_DELAY", "soon")
    assert main(["--config", str(file)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": got")[0] for line in said] == [
        f"{file}:3:15: error_recovery.timeouts.api_call",
        f"{file}:4:5: error_recovery.timeouts.api_cal",
        "environment variable RETRY_BASE_DELAY",
    ]
