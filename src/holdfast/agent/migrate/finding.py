"""Finds the uses of the libraries in one file of Python, and the text that changes its imports."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, NamedTuple

from holdfast.agent.migrate import faces
from holdfast.agent.migrate.names import Names
from holdfast.agent.migrate.source import Edit, Lines, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from holdfast.agent.migrate.names import Imported, Meaning, Scope
    from holdfast.agent.migrate.source import Source

__all__ = ["Found", "Use", "guess_in_text", "look_into"]

_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_LITERAL = re.compile(r"[rRuU]?(?:'''|\"\"\"|'|\")")
_IMPORT_LINE = re.compile(
    rf"(?m)^[ \t\"]*(?:c?import|from)[ \t]+((?:{'|'.join(faces.LIBRARIES)})\b[\w.]*)"
)
# Functions that are given the name of a module, and of something in one.
_OF_MODULES = {"import_module", "importorskip", "find_spec"}
_OF_NAMES = {"patch", "setattr", "delattr", "import_string", "import_object", "resolve_name"}


class Use(NamedTuple):
    """A place where a library is used.

    Attributes:
        file: The file, as it was found.
        line: From 1.
        column: In characters, from 1; 0 where only the line is known.
        library: One of the eight.
        kind: ``"import"``, ``"name"``, ``"string"`` or ``"requirement"``.
        name: What is used, such as ``"tenacity.retry"``, or the statement that imports it.
        change: What an import becomes; "" where nothing is to be changed.
        by_hand: What is to be looked at by somebody; "" for nothing.
        differs: What behaves otherwise there.
    """

    file: str
    line: int
    column: int
    library: str
    kind: str
    name: str
    change: str = ""
    by_hand: str = ""
    differs: tuple[str, ...] = ()


class Found(NamedTuple):
    """What is in a file of Python.

    Attributes:
        uses: In order.
        edits: What changes its imports.
        exports: What its names mean to those who import them.
    """

    uses: list[Use]
    edits: list[Edit]
    exports: dict[str, Meaning]


def look_into(
    file: str,
    source: Source,
    is_library: Callable[[str], bool],
    elsewhere: Callable[[Imported], Meaning | None],
) -> Found:
    """Return the uses in a file, in order, and the edits that change its imports.

    Args:
        file: Its name, for the uses.
        source: Its text, which has a tree.
        is_library: Whether an absolute import of this name is one of the libraries here, and not
            a module of the project.
        elsewhere: What is imported from another module of the project.

    Raises:
        UnreadableError: Its names stand for one another without an end.
    """
    try:
        finder = _Finder(file, source, is_library, elsewhere)
        finder.look()
        exports = finder.names.exports()
    except RecursionError:
        raise UnreadableError("its names stand for one another too deeply") from None
    finder.uses.sort(key=lambda use: (use.line, use.column))
    return Found(finder.uses, finder.edits, exports)


def guess_in_text(file: str, text: str, is_library: Callable[[str], bool], why: str) -> list[Use]:
    """Return the lines that seem to import a library, of a file without a tree.

    Args:
        file: Its name, for the uses.
        text: Its text.
        is_library: As for ``look_into``.
        why: Why it has no tree.
    """
    found: list[Use] = []
    lines = Lines(text)
    for hit in _IMPORT_LINE.finditer(text):
        library = hit[1].partition(".")[0]
        if is_library(library):
            line = lines.at(hit.start(1))
            hand = f"change it by hand: {why}"
            found.append(Use(file, line, 0, library, "import", hit[1], by_hand=hand))
    return found


class _Finder:
    """One look at one file."""

    def __init__(
        self,
        file: str,
        source: Source,
        is_library: Callable[[str], bool],
        elsewhere: Callable[[Imported], Meaning | None],
    ) -> None:
        assert source.tree is not None
        self.uses: list[Use] = []
        self.edits: list[Edit] = []
        self._file = file
        self._source = source
        self._is_library = is_library
        self.names = Names(source.tree, is_library, faces.public_names, elsewhere)
        self._done: set[int] = set()

    def look(self) -> None:
        for node, scope in self.names.nodes:
            if id(node) in self._done:
                continue
            if isinstance(node, ast.Import):
                self._import(node, scope)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
            elif isinstance(node, ast.Call):
                self._call(node, scope)
            elif isinstance(node, ast.Attribute):
                self._attribute(node, scope)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                if (found := self.names.meaning(node, scope)) and found.role == "itself":
                    self._name(node, found.path)
            elif isinstance(node, ast.ClassDef):
                self._class(node, scope)
            elif isinstance(node, ast.Subscript):
                if _is_sys_modules(node.value):
                    self._string(node.slice, is_module=True)
            elif isinstance(node, ast.Constant):
                self._string(node, is_module=False)

    # ---- imports ----

    def _import(self, node: ast.Import, scope: Scope) -> None:
        bare = {one.name for one in node.names if one.asname is None}
        for one in node.names:
            library = one.name.partition(".")[0]
            if not self._is_library(library):
                continue
            start, end = self._source.place(one), self._source.end(one)
            hand = ""
            if one.asname is not None:
                new = f"{faces.ROOM}{one.name} as {one.asname}"
                self.edits.append(Edit(start, faces.ROOM))
            elif one.name == library:
                new = f"{faces.ROOM}{library} as {library}"
                self.edits += [Edit(start, faces.ROOM), Edit(end, f" as {library}")]
            elif self.names.binds("holdfast", scope):
                new = f"{faces.ROOM}{one.name}"
                hand = "change it by hand: it would bind `holdfast`, which the file uses otherwise"
            else:  # it binds the library, and loads one of its modules
                first = "" if library in bare else f"{faces.ROOM}{library} as {library}, "
                bare.add(library)
                new = f"{first}{faces.ROOM}{one.name}"
                self.edits.append(Edit(start, first + faces.ROOM))
            said = f"import {one.name}" + (f" as {one.asname}" if one.asname else "")
            self._add(
                one,
                "import",
                one.name,
                said=said,
                change="" if hand else f"import {new}",
                hand=hand,
            )

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level or not self._is_library(module.partition(".")[0]):
            return
        text, at = self._source.text, self._source.place(node) + len("from")
        while text[at] in " \t\f\\\r\n":
            at += 1
        self.edits.append(Edit(at, faces.ROOM))
        names = ast.unparse(node).partition(" import ")[2]
        missing = [
            one.name
            for one in node.names
            if one.name != "*" and not faces.has(f"{module}.{one.name}")
        ]
        hand = f"the face has no {' and no '.join(missing)}" if missing else ""
        self._add(
            node, "import", module, said=f"from {module} import {names}", hand=hand,
            change=f"from {faces.ROOM}{module} import {names}",
        )  # fmt: skip

    # ---- names ----

    def _call(self, node: ast.Call, scope: Scope) -> None:
        function = node.func
        called = _name_of(function)
        if called == "__import__" and node.args and self._string_of(node.args[0]):
            self._string(node.args[0], hand="change it by hand, to importlib.import_module")
        elif called in _OF_MODULES:
            package = [one.value for one in node.keywords if one.arg in {"name", "package"}]
            for one in (*node.args[:2], *package):
                self._string(one, is_module=True)
        elif (
            called in {"multiple", "dict"} and _name_of(getattr(function, "value", None)) == "patch"
        ):
            for one in _target_of(node):
                self._string(one, is_module=True)
        elif called in _OF_NAMES:
            for one in _target_of(node):
                if "." in str(getattr(one, "value", "")):
                    self._string(one, is_module=True)
        elif called in {"get", "pop", "setdefault", "delitem", "setitem"} and node.args:
            parts = [function.value] if isinstance(function, ast.Attribute) else []
            if any(_is_sys_modules(one) for one in (*parts, node.args[0])):
                for one in node.args[:2]:
                    self._string(one, is_module=True)
        found = self.names.meaning(function, scope)
        if found is None or found.role not in {"itself", "subclass"}:
            return
        given = [one.arg for one in node.keywords if one.arg is not None]
        given += faces.arguments_of(found.path)[: len(node.args)]
        differs = [text for name in given for text in faces.concerning(found.path, name)]
        if found.role == "itself":
            self._name(function, found.path, differs)
        elif differs:
            self._add(node, "name", found.path, differs=differs)

    def _attribute(self, node: ast.Attribute, scope: Scope) -> None:
        found = self.names.meaning(node, scope)
        if found is not None and found.role == "itself":
            self._name(node, found.path)
            return
        self._finish(node)
        held, names = self.names.holder(node, scope)
        path = held.path if held is not None else ""
        if held is not None and held.role == "item":
            path = faces.ITEMS.get(path, "")
        if held is None or held.role == "itself" or not path:
            return
        differs = [text for name in names for text in faces.concerning(path, name)]
        if differs:
            self._add(node, "name", f"{path}.{names[-1]}", differs=differs)

    def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        """Note what a subclass overrides."""
        bases = [self.names.meaning(one, scope) for one in node.bases]
        for path in {one.path for one in bases if one and one.role in {"itself", "subclass"}}:
            for part in node.body:
                for name in _defined(part):
                    if differs := faces.concerning(path, name):
                        self._add(part, "name", f"{path}.{name}", differs=differs)

    def _name(self, node: ast.expr, path: str, differs: Iterable[str] = ()) -> None:
        self._finish(node)
        hand = "" if faces.has(path) else "the face has no such name"
        every = dict.fromkeys([*faces.concerning(path), *differs])
        self._add(node, "name", path, hand=hand, differs=every)

    def _finish(self, node: ast.AST) -> None:
        """Note that a chain of attributes has been seen to, but for what it begins with."""
        while isinstance(node, ast.Attribute):
            self._done.add(id(node))
            node = node.value
        if isinstance(node, ast.Name):
            self._done.add(id(node))

    # ---- strings ----

    def _string_of(self, node: ast.AST) -> str:
        """Return the library that a string names; "" for none."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            library = node.value.partition(".")[0]
            if self._is_library(library) and _DOTTED.fullmatch(node.value):
                return library
        return ""

    def _string(self, node: ast.AST, is_module: bool = False, hand: str = "") -> None:
        """Note a string that names a library or something in one; change it where that is sure."""
        if not (library := self._string_of(node)) or not isinstance(node, ast.Constant):
            return
        self._done.add(id(node))
        name = str(node.value)
        if not (is_module or hand) and (name == library or not _is_known(name)):
            return  # any word, such as the key "limits"
        change = ""
        start = self._source.place(node)
        literal = self._source.text[start : self._source.end(node)]
        quote = _LITERAL.match(literal)
        if is_module and not faces.has(name):
            hand = "the face has no such name: the string is not changed"
        elif is_module and quote is not None and literal[quote.end() :].startswith(name):
            change = repr(faces.ROOM + name)
            self.edits.append(Edit(start + quote.end(), faces.ROOM))
        else:
            hand = hand or "look at this string: it is not changed"
        self._add(node, "string", name, said=repr(name), change=change, hand=hand)

    # ----

    def _add(
        self,
        node: ast.expr | ast.stmt | ast.alias,
        kind: str,
        path: str,
        *,
        said: str = "",
        change: str = "",
        hand: str = "",
        differs: Iterable[str] | None = None,
    ) -> None:
        line = node.lineno
        column = self._source.column(line, node.col_offset)
        library = path.partition(".")[0]
        if differs is None:  # an import: names are told where they are used
            differs = faces.concerning(path) if faces.is_module(path) else ()
        every = tuple(dict.fromkeys(differs))
        use = Use(self._file, line, column, library, kind, said or path, change, hand, every)
        self.uses.append(use)


def _name_of(node: ast.AST | None) -> str:
    """Return the last part of a name: ``patch`` of ``unittest.mock.patch``."""
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _target_of(node: ast.Call) -> list[ast.expr]:
    """Return what a patch is for: its first argument, or the one of that name."""
    return node.args[:1] or [one.value for one in node.keywords if one.arg in {"target", "in_dict"}]


def _is_sys_modules(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "modules"
        and isinstance(node.value, ast.Name)
        and node.value.id == "sys"
    )


def _is_known(name: str) -> bool:
    """Return whether a string is the path of something public, and not just two words."""
    library, _, rest = name.partition(".")
    return rest.partition(".")[0] in faces.public_names(library) and faces.has(name)


def _defined(part: ast.stmt) -> list[str]:
    if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [part.name]
    targets = part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", None)]
    return [one.id for one in targets if isinstance(one, ast.Name)]
