"""``holdfast supervise``: exit codes, signals, checks, and being pid 1."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from holdfast.agent.cli import main
from holdfast.agent.supervise import CommandCheck
from tests.ports import held_port
from tests.supervision.processes import SECONDS, in_group, is_running, program, wait_until

SUPERVISE = [sys.executable, "-m", "holdfast", "supervise", "--first-delay", "0"]


@pytest.fixture
def run(capfd):
    """Run the command line in this process; return its exit code and its output."""

    def run(*arguments):
        code = main([*SUPERVISE[3:], *map(str, arguments)])
        return SimpleNamespace(returncode=code, **capfd.readouterr()._asdict())

    return run


@contextmanager
def running(*arguments):
    with subprocess.Popen(
        [*SUPERVISE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as supervisor:
        try:
            yield supervisor
        finally:
            supervisor.kill()


def ends_with(code, log):
    """A program that writes its pid, and ends."""
    return program(f"import os; open({str(log)!r}, 'a').write('run\\n'); raise SystemExit({code})")


def sleeps(log, more=""):
    """A program that writes its pid once it is ready, and goes on."""
    return program(
        f"""
        import os, signal, sys, time
        log = os.open({str(log)!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        {more}
        os.write(log, f"{{os.getpid()}}\\n".encode())
        while True:
            time.sleep(600)
        """
    )


def pids(log):
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def test_a_clean_end_is_the_end_and_its_output_passes_through():
    arguments = ["--help", "--tcp", "x"]  # the command's own
    done = subprocess.run(
        [*SUPERVISE, "--", "sh", "-c", 'cat; echo "$@"; echo err >&2', "sh", *arguments],
        input="in\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stdout) == (0, "in\n--help --tcp x\n")
    assert "err\n" in done.stderr
    assert "(exit code 0)" in done.stderr


def test_what_fails_is_started_again_until_the_attempts_are_spent(tmp_path, run, caplog):
    log = tmp_path / "log"
    done = run("--attempts", 1, "--", *ends_with(7, log))
    assert done.returncode == 7
    assert log.read_text() == "run\n" * 2
    assert "exit code 7" in caplog.text


def test_a_command_that_a_signal_ends_gives_128_and_its_number(run):
    done = run("--restart", "never", "--", "sh", "-c", "kill -KILL $$")
    assert done.returncode == 128 + signal.SIGKILL


def test_on_request_it_is_started_again_whatever_its_exit_code(tmp_path, run):
    log = tmp_path / "log"
    done = run("--restart", "always", "--attempts", 1, "--", *ends_with(0, log))
    assert log.read_text().count("run") == 2
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("no-such-program", 127, "holdfast: command: got 'no-such-program': No such file"),
        ("/etc/passwd", 126, "holdfast: command: got '/etc/passwd': Permission denied"),
    ],
)
def test_a_command_that_cannot_run_is_named_and_not_tried_again(command, code, text, capsys):
    assert main(["supervise", "--", command]) == code
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--tcp", "8000"], "--tcp: got '8000', allowed a host and a port"),
        (["--tcp", "host:http"], "--tcp: got 'host:http'"),
        (["--tcp", "host:65536"], "--tcp: got 'host:65536'"),
        (["--wrong"], "usage: holdfast supervise"),
        (["--intervall", "1"], "did you mean --interval?"),
        (["--http", "nowhere"], "url: got"),
        (["--check", "'"], "--check: got"),
        (["--check", ""], "--check: got ''"),
        (["--interval", "0"], "interval: got 0"),
        (["--attempts", "0"], "argument --attempts: got '0'"),
        (["--kill-after", "soon"], "argument --kill-after: got 'soon'"),
        (["--restart", "maybe"], "argument --restart: invalid choice: 'maybe'"),
    ],
)
def test_bad_arguments_are_named(arguments, text, capsys):
    try:
        code = main(["supervise", *arguments, "--", "true"])
    except SystemExit as left:
        code = left.code
    assert code == 2
    assert text in capsys.readouterr().err


def test_a_killed_command_comes_back_and_sigterm_ends_both(tmp_path):
    log = tmp_path / "log"
    with running("--", *sleeps(log)) as supervisor:
        wait_until(lambda: len(pids(log)) == 1)
        os.kill(pids(log)[0], signal.SIGKILL)
        wait_until(lambda: len(pids(log)) == 2)
        supervisor.terminate()
        assert supervisor.wait(SECONDS) == 128 + signal.SIGTERM
    assert not any(map(is_running, pids(log)))


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_the_signal_that_ends_it_is_passed_on_and_the_exit_code_back(tmp_path, number):
    log = tmp_path / "log"
    leave = f"signal.signal({int(number)}, lambda number, _: sys.exit(number + 20))"
    with running("--", *sleeps(log, leave)) as supervisor:
        wait_until(lambda: pids(log))
        supervisor.send_signal(number)
        assert supervisor.wait(SECONDS) == number + 20


def test_other_signals_are_passed_on_and_end_nothing(tmp_path):
    log = tmp_path / "log"
    tell = "signal.signal(signal.SIGUSR1, lambda *_: os.write(log, b'1\\n'))"
    with running("--", *sleeps(log, tell)) as supervisor:
        for number in range(1, 4):
            wait_until(lambda n=number: len(pids(log)) == n)
            supervisor.send_signal(signal.SIGUSR1)
        wait_until(lambda: len(pids(log)) == 4)
        assert supervisor.poll() is None


def test_a_signal_that_is_ignored_when_it_begins_stays_ignored(tmp_path):  # as by nohup
    log = tmp_path / "log"
    tell = """
        for number, said in ((signal.SIGHUP, b'0\\n'), (signal.SIGUSR1, b'1\\n')):
            signal.signal(number, lambda *_, said=said: os.write(log, said))
    """
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with running("--", *sleeps(log, tell)) as supervisor:
            wait_until(lambda: pids(log))
            supervisor.send_signal(signal.SIGHUP)
            supervisor.send_signal(signal.SIGUSR1)
            wait_until(lambda: len(pids(log)) == 2)
            assert pids(log)[1] == 1
            assert supervisor.poll() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_kills_a_command_that_ignores_the_first(tmp_path):
    log = tmp_path / "log"
    deaf = "signal.signal(signal.SIGTERM, lambda *_: os.write(log, b'1\\n'))"
    with running("--kill-after", 600, "--", *sleeps(log, deaf)) as supervisor:
        wait_until(lambda: pids(log))
        supervisor.terminate()
        wait_until(lambda: len(pids(log)) == 2)
        supervisor.terminate()
        assert supervisor.wait(SECONDS) == 128 + signal.SIGKILL


def test_the_command_and_its_children_end_with_a_killed_supervisor(tmp_path):
    log = tmp_path / "log"
    with running("--", *sleeps(log, "os.fork()")) as supervisor:
        wait_until(lambda: len(pids(log)) == 2)
        supervisor.kill()
    wait_until(lambda: not any(map(is_running, pids(log))))


def test_a_port_that_does_not_answer_has_it_started_again(run, caplog):
    with held_port() as port:  # nobody listens
        check = ["--tcp", f"127.0.0.1:{port}", "--start-timeout", "0.3", "--attempts", "1"]
        done = run(*check, "--", "sleep", "600")
    assert done.returncode == 128 + signal.SIGTERM
    failed = [said for said in caplog.messages if said.startswith("Component start failed")]
    assert len(failed) == 2  # each time: on a busy machine a program says nothing so soon


@pytest.fixture
def port():
    with held_port() as port:
        yield port


def test_a_server_that_stops_to_answer_comes_back(tmp_path, port):
    log = tmp_path / "log"
    server = f"""
        import os, signal, sys
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                is_ill = os.path.exists({str(tmp_path / "ill")!r})
                self.send_response(503 if is_ill else 200)
                self.end_headers()
                if not is_ill:
                    open({str(tmp_path / "well")!r}, "w").close()
        server = ThreadingHTTPServer(("127.0.0.1", {port}), Handler)
        open({str(log)!r}, "a").write(f"{{os.getpid()}}\\n")
        if os.path.exists({str(tmp_path / "ill")!r}):
            os.remove({str(tmp_path / "ill")!r})
        server.serve_forever()
    """
    check = ["--http", f"http://127.0.0.1:{port}/", "--interval", "0.05"]
    with running(*check, "--", *program(server)) as supervisor:
        wait_until((tmp_path / "well").exists)
        (tmp_path / "ill").touch()
        wait_until(lambda: len(pids(log)) == 2, "it was started again")
        assert not is_running(pids(log)[0])
        supervisor.terminate()
        supervisor.wait(SECONDS)


def test_a_command_as_a_check_passes_with_exit_code_zero():
    assert CommandCheck("check", ["true"]).run().verdict == "passed"
    failed = CommandCheck("check", ["sh", "-c", "echo too full >&2; exit 4"]).run()
    assert (failed.verdict, failed.message) == (
        "failed",
        "the command of the check: exit code 4 too full",
    )
    assert CommandCheck("check", ["no-such-program"]).run().verdict == "failed"


def test_a_command_as_a_check_that_hangs_is_killed_with_its_children(tmp_path):
    log = tmp_path / "log"
    result = CommandCheck("check", sleeps(log, "os.fork()")).run(timeout=1.0)
    assert result.verdict == "failed"
    assert [one for pid in pids(log) for one in in_group(pid)] == []


def test_as_pid_1_it_reaps_the_orphans_of_its_command(tmp_path, require_real):
    if shutil.which("unshare") is None or os.geteuid() != 0:
        require_real("unshare and the right to use it are missing")
    log = tmp_path / "log"
    source = f"""
        import os, time
        for _ in range(20):
            if os.fork() == 0:
                if os.fork() == 0:
                    time.sleep(0.05)
                os._exit(0)
            os.wait()
        while True:
            states = []
            for name in os.listdir("/proc"):
                if name.isdecimal():
                    try:
                        with open(f"/proc/{{name}}/stat") as file:
                            columns = file.read().rpartition(")")[2].split()
                    except OSError:
                        continue
                    if columns[0] == "Z" and columns[1] == "1":
                        states.append(name)
            with open({str(log)!r}, "a") as file:
                file.write(f"{{len(states)}}\\n")
            time.sleep(0.1)
    """
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    with subprocess.Popen(
        [*unshare, *SUPERVISE, "--", *program(source)], stderr=subprocess.PIPE, text=True
    ) as supervisor:
        try:
            wait_until(lambda: any(pids(log)) or supervisor.poll() is not None)
            if supervisor.poll() is not None:
                require_real(f"unshare does not work here: {supervisor.stderr.read()}")
            wait_until(lambda: pids(log)[-1] == 0, "all orphans were reaped")
        finally:
            supervisor.kill()
