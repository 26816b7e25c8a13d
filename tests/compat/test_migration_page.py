"""The page of migration has for each library what `holdfast migrate` tells."""  # RT-18

import re
from contextlib import suppress
from importlib import import_module
from inspect import isclass, isfunction, signature
from pkgutil import walk_packages

import pytest

import holdfast as hf
from holdfast.agent import cli
from holdfast.agent.migrate import faces
from holdfast.compat.differences import LIBRARIES, VERSIONS, differences_of
from tests.project.pages import DOCS, Page

PAGE = Page("docs/migration.md", DOCS / "migration.md")
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.text.split("\n## ")}
OTHERS = ("resilience4j", "Polly", "failsafe-go")
KEYWORD = re.compile(r"\b([a-z_]+)=")
SMALL = {"a", "an", "the", "of", "and", "or", "is", "are", "it", "in", "to", "that", "not", "no"}


def bullets(library, heading):
    """Return the list below a heading of the section of a library, an item a line."""
    below = SECTIONS[library].partition(f"### {heading}\n")[2].partition("\n#")[0]
    return [" ".join(one.split()) for one in re.split(r"(?m)^- ", below)[1:]]


def words(text):
    return {word.lower() for word in re.findall(r"\w[\w.]*\w|\w", text)} - SMALL


def is_there(library, name):
    """Return whether a face has a name, in one of its modules, an argument or an attribute."""
    first, *rest = name.split(".")
    room = f"{faces.ROOM}{library}"
    homes = [import_module(room)]
    for part in walk_packages(getattr(homes[0], "__path__", ()), f"{room}."):
        with suppress(ImportError):  # needs what is not installed
            homes.append(import_module(part.name))
    for one in [one for home in homes for one in [getattr(home, first, None)] if one is not None]:
        for attribute in rest:
            if attribute in arguments(one) or (
                takes_any(one)
                and any(attribute in {*arguments(two), *dir(two)} for two in others(homes))
            ):
                return True
            if attribute in arguments(one) or attribute in getattr(one, "__annotations__", {}):
                return True
            one = getattr(one, attribute, None)
        if one is not None:
            return True
    return False


def takes_any(one):
    """Return whether a function hands its arguments on to another."""
    return isfunction(one) and any(
        p.kind is p.VAR_KEYWORD for p in signature(one).parameters.values()
    )


def others(homes):
    return [one for home in homes for one in vars(home).values() if isclass(one) or isfunction(one)]


def arguments(one):
    found = set()
    for part in (one, getattr(one, "__init__", None)):
        try:
            found |= {*signature(part).parameters}
        except (TypeError, ValueError):
            continue
    return found


@pytest.mark.parametrize("library", LIBRARIES)
class TestEachLibrary:
    def test_has_a_table_of_its_idioms(self, library):
        [(_, rows)] = PAGE.tables(library, "face", "native holdfast")
        assert len(rows) >= 8
        assert all(len(row) == 3 and all(row) for row in rows)

    def test_has_code_that_uses_the_face(self, library):
        code = re.findall(r"```python\n(.*?)```", SECTIONS[library], re.DOTALL)
        face = rf"holdfast\.compat(?:\.| import .*\b){library}\b"
        assert any(re.search(face, one) for one in code)
        assert any("assert " in one for one in code)

    def test_says_what_differs_and_which_tests_cannot_pass(self, library):
        assert bullets(library, "Differences")
        assert "### Tests that cannot pass\n" in SECTIONS[library]

    def test_differs_by_no_more_than_the_command_tells_and_the_page_says(self, library):
        said = [words(one) for one in bullets(library, "Differences")]
        for _, text in differences_of(library):
            told = words(text)
            close = max(len(told & one) / len(told) for one in said)
            assert close >= 0.4, f"no bullet of the page says: {text}"

    def test_has_every_name_whose_difference_is_told(self, library):
        names = {name for names, _ in differences_of(library) for name in names}
        assert [name for name in sorted(names) if not is_there(library, name)] == []

    def test_tells_each_difference_in_plain_sentences(self, library):
        for _, text in differences_of(library):
            assert text[-1] == "."
            assert "\n" not in text
            assert not re.search(r"\b(?:trap \d|RT-\d)", text)


def test_what_the_page_shows_of_the_command_is_what_it_prints(tmp_path, monkeypatch, capsys):
    shop = tmp_path / "src" / "shop"
    shop.mkdir(parents=True)
    (shop / "status.py").write_text(
        "from circuitbreaker import CircuitBreakerMonitor\n\n"
        "circuits = CircuitBreakerMonitor.get_circuits()\n"
    )
    (tmp_path / "src" / "requirements.txt").write_text("circuitbreaker>=2\n")
    monkeypatch.chdir(tmp_path)
    [shown] = PAGE.blocks("text")
    command, _, printed = shown.partition("\n")
    assert cli.main(command.split()[2:]) == 0
    assert capsys.readouterr().out == printed


def test_the_tables_name_only_what_holdfast_has():
    public = {name: getattr(hf, name) for name in hf.__all__}
    wrong = []
    for library in (*LIBRARIES, *OTHERS):
        second = ("face", "native holdfast") if library in LIBRARIES else ("holdfast",)
        for _, rows in PAGE.tables(library, *second):
            for code in re.findall(r"`([^`]+)`", " ".join(row[-1] for row in rows)):
                wrong += [
                    f"{library}: {code}"
                    for name in re.findall(
                        r"\b(?:hf\.|holdfast\.|from holdfast import )(\w+)", code
                    )
                    if name not in {*public, "testing", "telemetry", "compat"}
                ]
                wrong += [
                    f"{library}: {code}"
                    for name, given in re.findall(r"(?<![\w.])(?:hf\.)?([A-Z]\w+)\(([^()]*)", code)
                    if name in public and not {*KEYWORD.findall(given)} <= arguments(public[name])
                ]
    assert wrong == []


@pytest.mark.parametrize("library", OTHERS)
def test_libraries_of_other_languages_have_a_table_and_code(library):
    [(_, rows)] = PAGE.tables(library, "holdfast")
    assert len(rows) >= 20
    assert "assert " in SECTIONS[library]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_face_with_a_version_has_that_of_its_library(library):
    module = import_module(f"{faces.ROOM}{library}")
    assert getattr(module, "__version__", VERSIONS[library]) == VERSIONS[library]
