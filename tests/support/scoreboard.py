"""Counts how the code reads, from its syntax trees: the measures behind `tests/test_architecture.py`.

Each measure takes sources and returns findings, or figures; none knows what is allowed where it is used. Sources
may be files of the repository or text planted by a test, so that each measure can be shown to find something.
"""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("protocol", "edge", "controller", "simulator")
RIM_FOLDERS = {"adapters", "web"}
RIM_FILES = ("cli.py",)
"""The ends of their names: `cli.py`, `voice_cli.py`."""
MAY_IMPORT = {
    "protocol": {"protocol"},
    "edge": {"protocol", "edge"},
    "controller": {"protocol", "controller"},
    "simulator": set(PACKAGES),
}
WORLD_MODULES = {
    *("aiohttp", "aiosqlite", "asyncio", "asyncpg", "av", "concurrent", "fcntl", "ftplib", "gpiozero", "http"),
    *("lgpio", "mmap", "multiprocessing", "opuslib", "os", "paho", "pyaudio", "queue", "random", "requests", "sched"),
    *("secrets", "select", "selectors", "shutil", "signal", "socket", "socketserver", "soundfile", "sqlalchemy"),
    *("sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time"),
}
"""Modules with which a program touches the world: clocks, threads, files, devices, networks, chance."""
WORLD_NAMES = {("urllib", "request"), ("uuid", "uuid1"), ("uuid", "uuid4"), ("numpy", "random")}
WORLD_CALLS = {"open", "input", "print", "breakpoint", "exec", "eval"}
WORLD_METHODS = {
    *("now", "utcnow", "today", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "rmdir"),
    *("iterdir", "touch", "symlink_to", "hardlink_to", "chmod", "sleep"),
}
"""Methods of dates and paths that do the same; nothing in the core is named so."""
CLOCK_OWNERS = {"datetime", "date", "time"}
MOCK_MODULES = {"mock", "pytest_mock", "responses", "freezegun", "time_machine"}
MOCK_FIXTURES = {"monkeypatch", "mocker", "mock", "patch"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One Python file: its path from the repository's root, and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def package(self) -> str:
        return self.path.partition("/")[0]

    @property
    def module(self) -> str:
        """The dotted name that others import it by."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def line_count(self) -> int:
        return len(self.text.splitlines())

    @property
    def is_rim(self) -> bool:
        """Whether the file may touch the world."""
        *folders, name = self.path.split("/")
        return bool(RIM_FOLDERS & set(folders)) or name.endswith(RIM_FILES)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """Something at a place."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def sources_below(root: Path, folders: Iterable[str]) -> list[Source]:
    """Every Python file of some folders of the repository."""
    return [
        Source(path=str(path.relative_to(root)), text=path.read_text())
        for folder in folders
        for path in sorted((root / folder).rglob("*.py"))
    ]


def functions_of(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, inner ones too."""
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first of the signature to the last of the body."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def long_functions(sources: Sequence[Source], lines_max: int) -> list[Finding]:
    """Functions of more lines than fit a screen."""
    return [
        Finding(path=source.path, line=function.lineno, what=f"{function.name} has {lines_of(function)} lines")
        for source in sources
        for function in functions_of(source)
        if lines_of(function) > lines_max
    ]


def percentile(values: Iterable[int], percent: int) -> int:
    """The smallest value that at least so many in a hundred of the values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0


def without_docstring(sources: Sequence[Source]) -> list[Finding]:
    """Modules that do not say their duty."""
    return [
        Finding(path=source.path, line=1, what="no module docstring")
        for source in sources
        if not ast.get_docstring(source.tree)
    ]


def without_return_type(sources: Sequence[Source]) -> list[Finding]:
    """Functions that do not say what they return."""
    return [
        Finding(path=source.path, line=function.lineno, what=f"{function.name} has no return type")
        for source in sources
        for function in functions_of(source)
        if function.returns is None
    ]


def logic_in_package_files(sources: Sequence[Source]) -> list[Finding]:
    """`__init__.py` files that hold more than a docstring."""
    return [
        Finding(path=source.path, line=node.lineno, what="a package's file holds its docstring only")
        for source in sources
        if source.path.endswith("__init__.py")
        for node in source.tree.body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]


def rooms_without_subject(sources: Sequence[Source]) -> list[Finding]:
    """Files named for what they are not."""
    nameless = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    return [
        Finding(path=source.path, line=1, what="a room has one subject, and is named by it")
        for source in sources
        if source.path.rpartition("/")[2] in nameless
    ]


def imported_modules(source: Source) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported; of `from a import b` it is `a.b`."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{prefix}.{name.name}") for name in node.names)


def forbidden_arrows(sources: Sequence[Source]) -> list[Finding]:
    """Imports against the arrows: simulator -> edge, controller -> protocol; nobody imports the tests."""
    ours = {*PACKAGES, "tests", "benchmarks"}
    return [
        Finding(path=source.path, line=line, what=f"{source.package} must not import {name}")
        for source in sources
        if source.package in MAY_IMPORT
        for line, name in imported_modules(source)
        if name.startswith(".") or name.partition(".")[0] in ours - MAY_IMPORT[source.package]
    ]


def import_circles(sources: Sequence[Source]) -> list[Finding]:
    """Modules that reach themselves along imports, one finding a circle; imports for type checkers count too."""
    paths = {source.module: source.path for source in sources}
    arrows = {source.module: _modules_imported(source, paths) for source in sources}
    found: list[Finding] = []
    while True:
        try:
            graphlib.TopologicalSorter(arrows).prepare()
        except graphlib.CycleError as error:
            imported_first = error.args[1]
            circle = imported_first[::-1]
            found.append(Finding(path=paths[circle[0]], line=1, what="imports itself: " + " -> ".join(circle)))
            arrows[circle[0]].discard(circle[1])
        else:
            return found


def world_touched(sources: Sequence[Source]) -> list[Finding]:
    """Clock, sleep, chance, IO, asyncio and threads in files that are not the rim."""
    return [finding for source in sources if not source.is_rim for finding in (*_imports(source), *_calls(source))]


def mocks(sources: Sequence[Source]) -> list[Finding]:
    """Mock libraries imported, and patching fixtures asked for."""
    found = [
        Finding(path=source.path, line=line, what=f"imports {name}")
        for source in sources
        for line, name in imported_modules(source)
        if MOCK_MODULES & set(name.split("."))
    ]
    found += [
        Finding(path=source.path, line=function.lineno, what=f"{function.name} asks for {argument.arg}")
        for source in sources
        for function in functions_of(source)
        for argument in (*function.args.args, *function.args.kwonlyargs)
        if argument.arg in MOCK_FIXTURES
    ]
    return sorted(found)


def _modules_imported(source: Source, known: Collection[str]) -> set[str]:
    """Which of the known modules it imports; of `from a import b` that is `a.b` where it is a module, else `a`."""
    found = set()
    for _, name in imported_modules(source):
        module = name if name in known else name.rpartition(".")[0]
        if module in known:
            found.add(module)
    return found


def _imports(source: Source) -> Iterator[Finding]:
    for line, name in imported_modules(source):
        parts = name.split(".")
        is_rim_of_ours = parts[0] in PACKAGES and bool(RIM_FOLDERS & set(parts))
        if parts[0] in WORLD_MODULES or tuple(parts[:2]) in WORLD_NAMES or is_rim_of_ours:
            yield Finding(path=source.path, line=line, what=f"imports {name} outside the rim")


def _calls(source: Source) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name) if name in WORLD_CALLS:
                yield Finding(path=source.path, line=node.lineno, what=f"calls {name}() outside the rim")
            case ast.Attribute(attr=name, value=owner) if name in WORLD_METHODS and _may_be_world(name, owner):
                yield Finding(path=source.path, line=node.lineno, what=f"calls .{name}() outside the rim")


def _may_be_world(method: str, owner: ast.expr) -> bool:
    """`now` and `today` are the clock's only on the classes of `datetime`; the others always."""
    if method not in {"now", "today", "utcnow"}:
        return True
    return (isinstance(owner, ast.Name) and owner.id in CLOCK_OWNERS) or (
        isinstance(owner, ast.Attribute) and owner.attr in CLOCK_OWNERS
    )
