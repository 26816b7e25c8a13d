"""Files that are broken, huge or made to do harm: refused soon, with a place, and nothing else."""

import os
import random
import re
import time

import pytest

import holdfast as hf
from holdfast.agent.config import CollectorSettings, Settings, load
from tests.apart import run_apart

KIB = 1024


def refused(file, model=CollectorSettings):
    """Return what is wrong with a file, in one line without its name."""
    with pytest.raises(hf.ConfigError) as caught:
        load(model, file, environ={})
    assert caught.value.__context__ is None
    (problem,) = caught.value.problems
    assert problem.isprintable()
    assert problem.startswith(f"{file}:")
    return problem.removeprefix(f"{file}:")


@pytest.fixture
def written(tmp_path):
    def write(content, suffix=".yaml"):
        file = tmp_path / f"hostile{suffix}"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


# ---- what is no file of settings ----


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert refused(tmp_path / "none.yaml") == " cannot be read: No such file or directory"


def test_a_folder_and_a_pipe_are_refused_without_waiting(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    for name in ("folder", "pipe"):
        assert refused(tmp_path / f"{name}.yaml") == " cannot be read: it is no regular file"


def test_a_device_without_an_end_is_refused(tmp_path):
    (tmp_path / "zero.toml").symlink_to("/dev/zero")
    assert refused(tmp_path / "zero.toml") == " cannot be read: it is no regular file"


@pytest.mark.parametrize("name", ["settings", "settings.json", "settings.yaml.bak", ".yaml"])
def test_the_name_says_the_language(tmp_path, name):
    (tmp_path / name).write_text("")
    assert refused(tmp_path / name) == (
        " is no configuration file: a name ends in .yaml, .yml, .toml"
    )


def test_a_name_that_cannot_be_is_refused():
    with pytest.raises(hf.ConfigError, match=r"^a\\x00\.yaml: cannot be read: "):
        load(CollectorSettings, "a\0.yaml", environ={})


@pytest.mark.parametrize("suffix", [".yaml", ".toml"])
def test_a_huge_file_is_refused(written, suffix):
    assert refused(written(b"#" * (256 * KIB + 1), suffix)) == " is larger than 256 KiB"
    load(CollectorSettings, written(b"#" * (256 * KIB), suffix), environ={})


@pytest.mark.parametrize("suffix", [".yaml", ".toml"])
def test_what_is_not_utf_8_is_refused_with_its_place(written, suffix):
    assert refused(written(b"# caf\xc3\xa9\n# caf\xe9\n", suffix)) == "2:6: is not UTF-8"


@pytest.mark.parametrize("suffix", [".yaml", ".toml"])
def test_the_mark_and_the_line_ends_of_other_systems_change_nothing(written, suffix):
    text = {
        ".yaml": "error_recovery:\r\n  timeouts:\r\n    api_call: 5q\r\n",
        ".toml": "[error_recovery]\r\n\r\n  timeouts.api_call = '5q'\r\n",
    }
    where = {".yaml": "3:15: ", ".toml": "3:23: "}[suffix]
    said = refused(written(b"\xef\xbb\xbf" + text[suffix].encode(), suffix))
    assert said.startswith(where + "error_recovery.timeouts.api_call: got '5q', allowed ")


# ---- YAML ----


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2\nb: 3\n", "2:2: is no YAML: while parsing a flow sequence, "),
        ("a:\n\t- b\n", "2:1: is no YAML: while scanning for the next token, "),
        ("a: b: c\n", "1:5: is no YAML: mapping values are not allowed here"),
        ("a: 'b\n", "2:1: is no YAML: while scanning a quoted scalar, "),
        ("a: *nobody\n", "1:4: is no YAML: found undefined alias 'nobody'"),
        ("a: \x07\n", "1:4: is no YAML: a character it does not allow"),
        ('a: "\\UFFFFFFFF"\n', "1:7: is no YAML: an impossible number"),
        ("%YAML " + "9" * 5000 + ".1\n---\n", "1:7: is no YAML: an impossible number"),
        ("%YAML 2.0\n---\na: 1\n", "1:1: is no YAML: found incompatible YAML document"),
        ("a: 1\n---\nb: 2\n", "2:1: is no YAML: expected a single document in the stream, "),
        ("- 1\n- 2\n", "1:1: holds no keys with values"),
        ("just words\n", "1:1: holds no keys with values"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place(written, text, said):
    assert refused(written(text)).startswith(said)


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch pwned']",
        "!!python/object/new:os.system [touch pwned]",
        "!!python/name:os.system",
        "!<tag:yaml.org,2002:python/module:os> ''",
        "!include /etc/passwd",
        "!!str 5",
        "!<plain> {a: 1}",
        "!<other> [1]",
    ],
)
def test_tags_make_nothing(written, tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    file = written(f"error_recovery:\n  timeouts:\n    api_call: {value}\n")
    assert refused(file) == "3:15: error_recovery.timeouts.api_call: tags are not read"
    assert not (tmp_path / "pwned").exists()


def test_aliases_are_read(written):
    text = (
        "error_recovery:\n  timeouts:\n    api_call: &long 20s\n    concurrent_op: *long\n"
        "    database_query: *long\n"
    )
    timeouts = load(CollectorSettings, written(text), environ={}).error_recovery.timeouts
    assert (timeouts.api_call, timeouts.concurrent_op, timeouts.database_query) == (20, 20, 20)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(10 * [f'*{before}'])}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
        "a: &a [*a, *a]\n",
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 100_000,
        "? " * 100_000,
        "a: " + "[" * 33 + "]" * 33,
        "".join(f"k{n}: 1\n" for n in range(6000)),
    ],
    ids=range(10),
)
def test_what_would_grow_or_nest_without_end_is_refused(written, text):
    place, _, said = refused(written(text)).partition(": ")
    assert said == "holds more than 5,000 values or 32 levels, aliases counted"
    assert re.fullmatch(r"\d+:\d+", place)


def test_merging_is_refused_by_name(written):
    text = "error_recovery:\n  retry: &r\n    jitter: true\n  timeouts:\n    <<: *r\n"
    assert refused(written(text)) == (
        "5:5: error_recovery.timeouts: merging (<<) is not read; write the keys"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [("no", "no"), ("012", "012"), ("1:30", "1:30"), ("0x1F", "0x1F"), ("1_000", "1_000")],
)
def test_words_that_yaml_1_1_takes_for_something_else_are_text(written, text, value):
    class Named(Settings):
        country: str

    assert load(Named, written(f"country: {text}"), environ={}).country == value


# ---- TOML ----


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = \n", "1:5"),
        ("a = 1\na = 2\n", "2:"),
        ("[a]\n[a]\n", "2:"),
        ("a = 1 b = 2\n", "1:7"),
        ("a = '''x", "1:9: "),
        ("= 1\n", "1:1"),
        ("a = \x07\n", "1:5"),
        ('a = "\\ud800"\n', "1:"),
        ("[a\n", "1:"),
        ("a = {b = 1\n", ""),
    ],
)
def test_what_is_no_toml_is_refused_with_its_place(written, text, place):
    said = refused(written(text, ".toml"))
    assert said.startswith(place)
    assert ": is no TOML: " in f":{said}"


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "{b = " * 40_000,
        "[" + "a." * 100_000 + "a]",
        "a." * 100_000 + "a = 1",
        "a = {" + "b." * 100_000 + "b = 1}",
    ],
    ids=range(5),
)
def test_nesting_without_end_is_refused_before_it_is_followed(written, text):
    # tomllib alone would take minutes, or the whole stack.
    assert refused(written(text, ".toml")).endswith(": is nested deeper than 32 levels")


def test_too_many_values_are_refused(written):
    text = "".join(f"k{n} = 1\n" for n in range(5001))
    assert refused(written(text, ".toml")) == "5001:9: holds more than 5,000 values"


def test_a_number_of_too_many_digits_is_refused(written):
    said = refused(written("error_recovery = " + "9" * 5000, ".toml"))
    assert "is no TOML: " in said


def test_values_that_only_toml_has_are_shown(written):
    text = "error_recovery.timeouts.api_call = 2026-11-30T10:00:00Z\n"
    assert refused(written(text, ".toml")).startswith(
        "1:36: error_recovery.timeouts.api_call: got datetime.datetime(2026, "
    )
    huge = "error_recovery.circuit_breaker.failure_threshold = 0x" + "f" * 5000
    assert refused(written(huge, ".toml")) == (
        "1:52: error_recovery.circuit_breaker.failure_threshold: "
        "got an integer of 20000 bits, allowed an integer from 1 to 1000000"
    )


# ---- chance ----

WORDS = {
    ".yaml": [
        *("error_recovery", "retry", "timeouts", "api_call", "circuit_breaker", "jitter"),
        *(":", ": ", ":\n  ", ":\n    ", "\n", "\n  ", "\n    ", "- ", "? ", "[", "]", "{", "}"),
        *(", ", "&a ", "*a", "!!str ", "!x", "|\n", ">-\n", "'", '"', "#", "%", "---\n", "...\n"),
        *("5s", "100ms", "5", "-1", "1e9", ".nan", "true", "null", "~", "<<", "\t", "\0", "\\x41"),
        *("é", "\u2028", "\ud7ff", "\U0001f600", "\ufeff", "\x85"),
    ],
    ".toml": [
        *("error_recovery", "retry", "timeouts", "api_call", "[", "]", "[[", "]]", "{", "}", "."),
        *(" = ", "=", "\n", "\n\n", ", ", "'", '"', "'''", '"""', "#", "\\", "\\u0041", "5"),
        *("'5s'", "true", "1e3", "inf", "2026-11-30", "10:00:00", "0x1", "é", "\t", "\0", "\r"),
    ],
}  # fmt: skip


@pytest.mark.fuzz
@pytest.mark.parametrize("suffix", [".yaml", ".toml"])
def test_no_file_does_anything_but_be_read_or_refused(tmp_path, fuzz_seconds, suffix):
    chance = random.Random(os.environ.get("FUZZ_SEED", "1"))
    good = {
        ".yaml": "error_recovery:\n  retry:\n    max_retries: 3\n  timeouts: {api_call: 5s}\n",
        ".toml": "[error_recovery]\nretry.max_retries = 3\ntimeouts = {api_call = '5s'}\n",
    }[suffix]
    file = tmp_path / f"fuzzed{suffix}"
    counts = {"read": 0, "refused": 0}
    end = time.monotonic() + fuzz_seconds / 4
    while time.monotonic() < end or min(counts.values()) == 0:
        text = good if chance.random() < 0.7 else ""
        for _ in range(chance.randrange(1, 6) if text else chance.randrange(30)):
            at = chance.randrange(len(text) + 1)
            cut = chance.choice((0, 0, 1, 5))
            text = text[:at] + chance.choice(WORDS[suffix]) + text[at + cut :]
        file.write_text(text, newline="")
        try:
            load(CollectorSettings, file, environ={})
            counts["read"] += 1
        except hf.ConfigError as error:
            counts["refused"] += 1
            for problem in error.problems:
                assert problem.startswith(str(file)), (text, problem)
                assert problem.isprintable(), (text, problem)
                assert len(problem) < 1000, (text, problem)


# ---- without the extra ----


WITHOUT = """\
import os, sys
sys.modules[{package!r}] = None
os.chdir({folder!r})
import holdfast as hf
try:
    from holdfast.agent.config import CollectorSettings, load
    print(load(CollectorSettings, "s.toml").error_recovery.timeouts.api_call)
    load(CollectorSettings, "s.yaml")
except hf.MissingExtraError as error:
    print(error.extra, error)
"""


@pytest.mark.parametrize(("package", "read"), [("pydantic", ""), ("yaml", "5.0\n")])
def test_the_extra_is_named_that_is_missing_and_a_toml_file_needs_no_yaml(tmp_path, package, read):
    (tmp_path / "s.toml").write_text("error_recovery.timeouts.api_call = '5s'")
    (tmp_path / "s.yaml").write_text("")
    said = run_apart(WITHOUT.format(package=package, folder=str(tmp_path)))
    assert said.startswith(f"{read}agent ")
    assert said.endswith("pip install 'holdfast[agent]'\n")
