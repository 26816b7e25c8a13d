import socket
import subprocess
import sys

import pytest

import holdfast
from holdfast.agent import cli
from holdfast.demo import run
from holdfast.demo.process import PortError, UpstreamError
from holdfast.demo.run import RunError
from holdfast.telemetry.rules import rules_file


def holdfast_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "holdfast", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def demo_that_raises(monkeypatch):
    def install(error):
        def run_demo(*arguments):
            raise error

        monkeypatch.setattr(run, "run_demo", run_demo)

    return install


def usage_error_of(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == cli.EXIT_CANNOT_START
    return capsys.readouterr().err


def test_help_names_the_commands_and_the_exit_codes():
    done = holdfast_command("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: holdfast ")
    assert "demo" in done.stdout
    assert "exit codes:" in done.stdout


def test_the_help_of_the_demo_has_examples(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["demo", "--help"])
    assert left.value.code == 0
    assert "holdfast demo --seconds 20" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"holdfast {holdfast.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [(("doctr",), "doctor"), (("dem",), "demo"), (("doctor", "--jsn"), "--json")],
)
def test_a_misspelt_word_is_a_usage_error_with_the_one_that_was_meant(capsys, typed, meant):
    assert usage_error_of(capsys, *typed).rstrip().endswith(f"did you mean {meant}?")


def test_no_command_is_a_usage_error(capsys):
    assert "COMMAND" in usage_error_of(capsys)


@pytest.mark.parametrize("value", ["5", "9.99", "0", "-3", "nan", "inf", "1e9", "soon", ""])
def test_seconds_out_of_range_are_refused_with_option_value_and_range(capsys, value):
    error = usage_error_of(capsys, "demo", f"--seconds={value}")
    assert f"argument --seconds: got {value!r}, allowed: 10 to 604800 seconds" in error


@pytest.mark.parametrize("value", ["0", "65536", "-1", "http", "80.0", "٨٠", ""])
def test_a_port_that_is_none_is_refused_with_option_value_and_range(capsys, value):
    error = usage_error_of(capsys, "demo", f"--port={value}")
    assert f"argument --port: got {value!r}, allowed: 1 to 65535" in error


def test_an_unknown_argument_is_refused(capsys):
    assert "--fast" in usage_error_of(capsys, "demo", "--fast")


def test_a_taken_port_is_an_error_and_no_traceback(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["demo", f"--port={port}", "--seconds=10"]) == cli.EXIT_CANNOT_START
    assert capsys.readouterr() == (
        "",
        (
            f"holdfast: --port: {port} on 127.0.0.1 is taken; choose another port, "
            "or omit it for a free one\n"
        ),
    )


@pytest.mark.parametrize("missing", ["httpx", "holdfast.telemetry.prometheus"])
def test_a_missing_extra_is_an_error_that_names_it(capsys, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert cli.main(["demo"]) == cli.EXIT_CANNOT_START
    assert capsys.readouterr().err == (
        "holdfast: holdfast demo needs the extra 'demo': pip install 'holdfast[demo]'\n"
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PortError("--port: 80 is taken"), cli.EXIT_CANNOT_START),
        (UpstreamError("the upstream did not start"), cli.EXIT_BROKE),
        (RunError("guarded threads: ZeroDivisionError()"), cli.EXIT_BROKE),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(capsys, demo_that_raises, error, code):
    demo_that_raises(error)
    assert cli.main(["demo"]) == code
    assert capsys.readouterr().err == f"holdfast: {error}\n"


def test_an_interrupt_before_the_start_is_no_traceback(demo_that_raises):
    demo_that_raises(KeyboardInterrupt())
    assert cli.main(["demo"]) == cli.EXIT_INTERRUPTED


LOADED = """
import argparse, contextlib, sys
argparse.ArgumentParser().format_help()  # in colour from 3.14 on, which takes dataclasses
before = set(sys.modules)
from holdfast.agent.cli import main
with contextlib.suppress(SystemExit):
    main([{argument!r}])
print(*sys.modules.keys() - before, sep="\\n", file=sys.stderr)
"""


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_what_a_command_needs_is_imported_by_that_command_only(argument):
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(argument=argument)],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stderr.split())
    assert "holdfast.agent.cli" in loaded
    assert not loaded & {"asyncio", "dataclasses", "http.server", "httpx", "rich"}
    assert not any(name.startswith("holdfast.demo") for name in loaded)


# ---- export ----


def test_rules_are_printed_for_the_namespace_and_the_labels(capsys):  # AR-15
    assert cli.main(["export", "rules", "--namespace", "dwcp", "--by", "job"]) == cli.EXIT_DONE
    assert capsys.readouterr() == (rules_file("dwcp", by=["job"]), "")


def test_rules_are_written_to_a_file(capsys, tmp_path):
    path = tmp_path / "rules.yml"
    path.write_text("what was there before " * 10_000)
    assert cli.main(["export", "rules", "-o", str(path)]) == cli.EXIT_DONE
    assert path.read_text(encoding="utf-8") == rules_file()
    assert capsys.readouterr() == ("", "")


def test_a_file_that_cannot_be_written_is_told_in_one_line(capsys, tmp_path):
    path = tmp_path / "missing" / "rules.yml"
    assert cli.main(["export", "rules", f"--output={path}"]) == cli.EXIT_BROKE
    assert capsys.readouterr() == (
        "",
        f"holdfast: --output: cannot write {path}: No such file or directory\n",
    )


def test_a_namespace_that_no_metric_can_have_is_told_in_one_line(capsys):
    assert cli.main(["export", "rules", "--namespace=a-b"]) == cli.EXIT_CANNOT_START
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("holdfast: rules: namespace: got 'a-b', allowed letters")
    assert error.count("\n") == 1


def test_export_needs_to_know_what(capsys):
    assert "WHAT" in usage_error_of(capsys, "export")
    assert usage_error_of(capsys, "export", "rulse").rstrip().endswith("did you mean rules?")
