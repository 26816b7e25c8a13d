"""What a name means where it stands: scopes, and what comes into them from a library.

Knows nothing of files and of faces. Walks with a stack of its own, so that no tree is too deep.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Imported", "Meaning", "Names", "Scope", "chain_of"]

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEEPEST_MODULE = 8  # attributes of a package that lead to one of its modules
_LONGEST_ANNOTATION = 200  # characters, of one that is a string


class Meaning(NamedTuple):
    """What an expression is, as far as a library is concerned.

    Attributes:
        path: The name in the library, such as ``"tenacity.stop.stop_after_delay"``.
        role: ``"itself"``; ``"made"`` by a call of it; ``"decorated"`` by it or by what it has
            made; ``"subclass"`` of it; ``"item"`` of a loop over what it has made.
    """

    path: str
    role: str


class Imported(NamedTuple):
    """What a name is that is imported from something else than a library.

    Attributes:
        module: The module.
        level: How many dots stand before it.
        name: What is imported of it; "" for the module itself.
    """

    module: str
    level: int
    name: str = ""


class _Binding(NamedTuple):
    kind: str  # import, value, item, annotation, class, function, other
    what: str | Imported | ast.AST | None
    scope: Scope


class Scope:
    """The names that a module, class, function or comprehension binds."""

    def __init__(self, kind: str, parent: Scope | None) -> None:
        self.kind = kind
        self.parent = parent
        self.bound: dict[str, list[_Binding]] = {}
        self.elsewhere: dict[str, str] = {}  # by `global` and `nonlocal`

    @property
    def module(self) -> Scope:
        """The scope of the module."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def bind(
        self, name: str, kind: str, what: str | Imported | ast.AST | None, seen_from: Scope
    ) -> None:
        """Note that a name is bound, to something that has its names from another scope."""
        scope = self
        if self.elsewhere.get(name) == "global":
            scope = self.module
        scope.bound.setdefault(name, []).append(_Binding(kind, what, seen_from))

    def find(self, name: str) -> list[_Binding]:
        """Return what binds a name that is used in this scope; nothing if it is bound nowhere."""
        scope: Scope | None = self
        while scope is not None:
            if scope.elsewhere.get(name) == "global":
                return self.module.bound.get(name, [])
            if name in scope.bound and (scope is self or scope.kind != "class"):
                return scope.bound[name]
            scope = scope.parent
        return []


class Names:
    """The nodes of a tree with their scopes, and what expressions in them mean.

    Attributes:
        nodes: Every node that may be a use, outer ones first, with its scope.
    """

    def __init__(
        self,
        tree: ast.Module,
        is_library: Callable[[str], bool],
        stars: Callable[[str], frozenset[str]],
        elsewhere: Callable[[Imported], Meaning | None],
    ) -> None:
        """Look at the whole tree.

        Args:
            tree: A module.
            is_library: Whether a top-level module is one of the libraries.
            stars: The names that ``from module import *`` binds.
            elsewhere: What is imported from another module of the project.
        """
        self.nodes: list[tuple[ast.AST, Scope]] = []
        self._is_library = is_library
        self._stars = stars
        self._elsewhere = elsewhere
        self._from_stars: list[str] = []
        self._attributes: dict[str, list[_Binding]] = {}  # of `self` and `cls`
        self._known: dict[tuple[int, str], Meaning | None] = {}
        self._active: set[tuple[int, str]] = set()
        self._module = Scope("module", None)
        todo: list[tuple[ast.AST, Scope]] = [(tree, self._module)]
        while todo:
            node, scope = todo.pop()
            self.nodes.append((node, scope))
            todo += reversed([*self._below(node, scope)])

    # ---- scopes ----

    def _below(self, node: ast.AST, scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
        """Note what a node binds, and yield what is below it."""
        if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            yield from self._function(node, scope)
        elif isinstance(node, ast.ClassDef):
            scope.bind(node.name, "class", node, scope)
            inner = Scope("class", scope)
            yield from ((one, scope) for one in (*node.decorator_list, *node.bases, *node.keywords))
            yield from ((one, inner) for one in (*getattr(node, "type_params", ()), *node.body))
        elif isinstance(node, _COMPREHENSIONS):
            inner = Scope("comprehension", scope)
            first = node.generators[0]
            yield first.iter, scope
            yield from ((one, inner) for one in (first.target, *first.ifs, *node.generators[1:]))
            for one in ast.iter_child_nodes(node):
                if not isinstance(one, ast.comprehension):
                    yield one, inner
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.withitem)):
            yield from self._assignment(node, scope)
        elif isinstance(node, (ast.For, ast.AsyncFor)) and isinstance(node.target, ast.Name):
            scope.bind(node.target.id, "item", node.iter, scope)
            yield from ((one, scope) for one in (node.iter, *node.body, *node.orelse))
        else:
            self._bind_plainly(node, scope)
            yield from ((one, scope) for one in ast.iter_child_nodes(node))

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope
    ) -> Iterator[tuple[ast.AST, Scope]]:
        inner = Scope("function", scope)
        given = node.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        arguments += [one for one in (given.vararg, given.kwarg) if one is not None]
        for one in arguments:
            inner.bind(one.arg, "annotation", one.annotation, scope)
        outer: list[ast.expr | None] = [*given.defaults, *given.kw_defaults]
        outer += [one.annotation for one in arguments]
        if isinstance(node, ast.Lambda):
            yield from ((one, scope) for one in outer if one is not None)
            yield node.body, inner
            return
        scope.bind(node.name, "function", node, scope)
        outer = [*node.decorator_list, *outer, node.returns]
        yield from ((one, scope) for one in outer if one is not None)
        yield from ((one, inner) for one in (*getattr(node, "type_params", ()), *node.body))

    def _assignment(
        self, node: ast.Assign | ast.AnnAssign | ast.NamedExpr | ast.withitem, scope: Scope
    ) -> Iterator[tuple[ast.AST, Scope]]:
        """Bind plain names and attributes to the value; what else is a target binds plainly."""
        if isinstance(node, ast.withitem):
            targets = [] if node.optional_vars is None else [node.optional_vars]
            value: ast.expr | None = node.context_expr
        else:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            value = node.value
        where = scope
        while isinstance(node, ast.NamedExpr) and where.kind == "comprehension" and where.parent:
            where = where.parent
        for target in targets:
            for kind, what in (
                ("value", value),
                ("annotation", node.annotation if isinstance(node, ast.AnnAssign) else None),
            ):
                if isinstance(target, ast.Name):
                    where.bind(target.id, kind, what, scope)
                if what is not None and (name := _attribute_of_self(target, where)):
                    self._attributes.setdefault(name, []).append(_Binding(kind, what, scope))
            if not isinstance(target, ast.Name):
                yield target, scope
        if isinstance(node, ast.AnnAssign):
            yield node.annotation, scope
        if value is not None:
            yield value, scope

    def _bind_plainly(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.Import):
            for one in node.names:
                top = one.name.partition(".")[0]
                path = one.name if one.asname else top
                is_library = self._is_library(top)
                scope.bind(
                    one.asname or top, "import", path if is_library else Imported(path, 0), scope
                )
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            is_library = node.level == 0 and self._is_library(module.partition(".")[0])
            for one in node.names:
                if one.name == "*":
                    self._from_stars += [module] if is_library else []
                else:
                    path = f"{module}.{one.name}"
                    what = path if is_library else Imported(module, node.level, one.name)
                    scope.bind(one.asname or one.name, "import", what, scope)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            kind = "global" if isinstance(node, ast.Global) else "nonlocal"
            scope.elsewhere.update(dict.fromkeys(node.names, kind))
        elif isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                scope.bind(node.id, "other", None, scope)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping)):
            name = node.rest if isinstance(node, ast.MatchMapping) else node.name
            if name is not None:
                scope.bind(name, "other", None, scope)
        elif type(node).__name__ in {"TypeVar", "TypeVarTuple", "ParamSpec"}:
            scope.bind(node.name, "other", None, scope)  # type: ignore[attr-defined]  # from 3.12

    # ---- meanings ----

    def binds(self, name: str, scope: Scope) -> bool:
        """Return whether anything but an import binds a name of the module."""
        return any(one.kind != "import" for one in scope.module.bound.get(name, ()))

    def meaning(self, node: ast.AST | None, scope: Scope) -> Meaning | None:
        """Return what an expression is; None if it has nothing to do with a library.

        Raises:
            RecursionError: Too many names stand for one another.
        """
        if isinstance(node, ast.Name):
            return self._of_name(node.id, scope)
        if isinstance(node, ast.Attribute):
            base, names = chain_of(node)
            if (found := self.meaning(base, scope)) is not None and found.role == "itself":
                return Meaning(".".join([found.path, *names]), "itself")
            if _is_self(base) and len(names) == 1 and names[0] in self._attributes:
                return self._of_all("." + names[0], self._attributes[names[0]])
            if found is None and isinstance(base, ast.Name):
                found, left = self._in_module(scope.find(base.id), names)
                if found is not None and found.role == "itself":
                    return Meaning(".".join([found.path, *left]), "itself")
                return None if left else found
        elif isinstance(node, ast.Call):
            found = self.meaning(node.func, scope)
            if found is not None and found.role != "item":
                return Meaning(found.path, "decorated" if found.role == "made" else "made")
        elif isinstance(node, ast.Await):
            return self.meaning(node.value, scope)
        elif isinstance(node, ast.IfExp):
            return self.meaning(node.body, scope) or self.meaning(node.orelse, scope)
        elif isinstance(node, ast.BoolOp):
            return next((one for part in node.values if (one := self.meaning(part, scope))), None)
        return None

    def exports(self) -> dict[str, Meaning]:
        """Return what the names of the module mean that have to do with a library."""
        found = {name: self._of_name(name, self._module) for name in self._module.bound}
        return {name: one for name, one in found.items() if one is not None}

    def holder(self, node: ast.Attribute, scope: Scope) -> tuple[Meaning | None, list[str]]:
        """Return what a chain of attributes belongs to, and the attributes of that."""
        base, names = chain_of(node)
        if (found := self.meaning(base, scope)) is not None:
            return found, names
        if _is_self(base) and len(names) > 1 and names[0] in self._attributes:
            return self._of_all("." + names[0], self._attributes[names[0]]), names[1:]
        if isinstance(base, ast.Name):
            return self._in_module(scope.find(base.id), names)
        return None, []

    def _in_module(
        self, bindings: list[_Binding], names: list[str]
    ) -> tuple[Meaning | None, list[str]]:
        """Return what is imported from a module of the project, and the attributes of that."""
        for _, what, _ in bindings:
            if isinstance(what, Imported):
                parts = [part for part in (what.module, what.name) if part]
                for at, name in enumerate(names[:_DEEPEST_MODULE]):
                    module = ".".join([*parts, *names[:at]])
                    found = self._elsewhere(Imported(module, what.level, name))
                    if found is not None:
                        return found, names[at + 1 :]
        return None, []

    def _of_name(self, name: str, scope: Scope) -> Meaning | None:
        found = scope.find(name)
        if not found:
            modules = [one for one in self._from_stars if name in self._stars(one)]
            return Meaning(f"{modules[-1]}.{name}", "itself") if modules else None
        return self._of_all(name, found)

    def _of_all(self, name: str, bindings: list[_Binding]) -> Meaning | None:
        """Return the first meaning that one of the bindings of a name gives it."""
        key = (id(bindings), name)
        if key in self._known:
            return self._known[key]
        if key in self._active:
            return None  # bound to itself
        self._active.add(key)
        try:
            found = next((one for b in bindings if (one := self._of_binding(b))), None)
        finally:
            self._active.discard(key)
        self._known[key] = found
        return found

    def _of_binding(self, binding: _Binding) -> Meaning | None:
        kind, what, scope = binding
        if isinstance(what, str):
            return Meaning(what, "itself")
        if isinstance(what, Imported):
            return self._elsewhere(what) if what.name else None
        if kind == "value":
            return self.meaning(what, scope)
        if kind == "item":
            found = self.meaning(what, scope)
            return Meaning(found.path, "item") if found and found.role == "made" else None
        if kind == "annotation":
            return self._of_annotation(what, scope)
        if isinstance(what, ast.ClassDef):
            for base in what.bases:
                found = self.meaning(base, scope)
                if found is not None and found.role in {"itself", "subclass"}:
                    return Meaning(found.path, "subclass")
        if isinstance(what, _FUNCTIONS):
            for one in what.decorator_list:
                if (found := self.meaning(one, scope)) is not None:
                    return Meaning(found.path, "decorated")
        return None

    def _of_annotation(self, node: ast.AST | None, scope: Scope) -> Meaning | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if len(node.value) > _LONGEST_ANNOTATION:
                return None
            try:
                node = ast.parse(node.value, mode="eval").body
            except (SyntaxError, ValueError):
                return None
        if isinstance(node, ast.BinOp):
            return self._of_annotation(node.left, scope) or self._of_annotation(node.right, scope)
        if isinstance(node, ast.Subscript):  # Optional[…]
            return self._of_annotation(node.slice, scope)
        found = self.meaning(node, scope)
        return found and Meaning(found.path, "made")


def chain_of(node: ast.Attribute) -> tuple[ast.expr, list[str]]:
    """Return what a chain of attributes begins with, and the attributes."""
    names = [node.attr]
    base = node.value
    while isinstance(base, ast.Attribute):
        names.append(base.attr)
        base = base.value
    return base, names[::-1]


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def _attribute_of_self(target: ast.expr, scope: Scope) -> str | None:
    if isinstance(target, ast.Attribute) and _is_self(target.value):
        return target.attr
    return target.id if isinstance(target, ast.Name) and scope.kind == "class" else None
