"""What runs in the background again and again runs in ``periodic``: nothing else makes a loop."""

import ast
from pathlib import Path

import holdfast

# Who may make a thread or a task, and what it ends with.
MAKERS = {
    "periodic.py": "the task of a loop",
    "waiting/timer_threads.py": "the threads of all loops",
    "waiting/daemons.py": "ends with the jobs of calls",
    "waiting/worker_threads.py": "ends with the jobs of calls",
    "waiting/late.py": "ends with the awaitable of a call",
    "waiting/hedged_tasks.py": "ends with the attempt of a call",
    "degradation/gather_tasks.py": "ends with the calls that are made together",
    "categories/http.py": "ends with the response that it closes",
    "chaos/effect.py": "ends with the duration of a fault",
    "supervision/originals.py": "ends with the processes, the lines or the end that it sees to",
    "supervision/thread.py": "ends when its component is stopped",
    "supervision/task.py": "ends when its component is stopped",
    "telemetry/serving.py": "serves until its server is closed",
}
NAMES = {
    *("Thread", "Timer", "start_new_thread", "_start_new_thread", "ThreadPoolExecutor"),
    *("create_task", "ensure_future", "run_in_executor", "to_thread"),
}


def makers(package):
    for source in sorted(package.rglob("*.py")):
        path = source.relative_to(package).as_posix()
        if path.startswith(("demo/", "bench/", "testing/")):
            continue
        called = {
            getattr(node.func, "attr", getattr(node.func, "id", ""))
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
        }
        if called & NAMES:
            yield path


def test_only_periodic_and_what_ends_by_itself_makes_threads_or_tasks():
    assert set(makers(Path(holdfast.__file__).parent)) <= set(MAKERS)


def test_a_module_that_makes_a_thread_is_found(tmp_path):
    (tmp_path / "room").mkdir()
    (tmp_path / "room/loop.py").write_text("import threading\nthreading.Thread(target=f).start()\n")
    (tmp_path / "room/quiet.py").write_text("Thread = 1\n")
    assert list(makers(tmp_path)) == ["room/loop.py"]
