"""The collector reads its settings from a file and from the environment."""

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
