"""The shape of the house: who may import whom, how long a room may be, what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "syncer"
MODULES = sorted(PACKAGE.rglob("*.py"))
MIGRATIONS = sorted((ROOT / "migrations").rglob("*.py"))

#: Library -> the only places that may import it, as beginnings of paths below the repository.
HOMES = {
    "httpx": ("syncer/remote/",),
    "httpcore": ("syncer/remote/",),
    "msgspec": ("syncer/remote/",),
    "certifi": ("syncer/remote/",),
    "sqlalchemy": ("syncer/store/", "migrations/"),
    "alembic": ("syncer/store/", "migrations/"),
    "sqlite3": ("syncer/store/",),
    "psycopg": ("syncer/store/publish/",),
    "jinja2": ("syncer/console/",),
    "openpyxl": ("syncer/formats/",),
    "phonenumbers": ("syncer/core/normalise.py",),
    "structlog": ("syncer/logs.py",),
    "rich": ("syncer/cli/",),
    "click": ("syncer/cli/",),
}

#: What `core` may import: no I/O, no clock, no chance, no logging.
CORE_MAY = {
    "__future__", "base64", "bisect", "collections", "contextlib", "dataclasses", "datetime", "decimal", "email", "enum",
    "fractions", "functools", "hashlib", "heapq", "hmac", "html", "itertools", "json", "math", "operator", "re", "string",
    "struct", "syncer", "types", "typing", "unicodedata", "zlib",
}  # fmt: skip


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, anywhere in it."""
    return frozenset(_imports(ast.parse(path.read_text(encoding="utf-8"))))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.Call(
                func=ast.Name(id="__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_import_linter_keeps_every_contract() -> None:
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_logo=True, cache_dir=None))"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_is_a_package() -> None:
    # A folder without `__init__.py` is passed over by the import rules, silently.
    folders = {path.parent for path in MODULES}
    assert [name(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("library", HOMES)
def test_a_library_stays_in_its_room(library: str) -> None:
    strangers = [
        name(path)
        for path in (*MODULES, *MIGRATIONS)
        if any(one.split(".")[0] == library for one in imports(path))
        and not name(path).startswith(HOMES[library])
    ]
    assert strangers == []


def test_core_imports_only_what_cannot_touch_the_world() -> None:
    wrong = [
        f"{name(path)}: {one}"
        for path in sorted((PACKAGE / "core").glob("*.py"))
        for one in sorted(imports(path))
        if one.split(".")[0] not in CORE_MAY
        and not (one.split(".")[0] == "phonenumbers" and path.name == "normalise.py")
    ]
    assert wrong == []


def test_the_sandbox_shares_no_code_with_what_it_tests() -> None:
    wrong = [
        f"{name(path)}: {one}"
        for path in sorted((PACKAGE / "sandbox").rglob("*.py"))
        for one in sorted(imports(path))
        if one.split(".")[0] == "syncer" and not one.startswith("syncer.sandbox") and one != "syncer"
    ]
    assert wrong == []


def test_only_commands_print() -> None:
    wrong = [
        name(path)
        for path in MODULES
        if not name(path).startswith("syncer/cli/")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 450, "split it by what it decides"
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "a module says in one sentence what it is for"


@pytest.mark.parametrize("path", (*MODULES, *MIGRATIONS), ids=name)
def test_no_work_is_left_open(path: Path) -> None:
    marks = re.findall(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b", path.read_text(encoding="utf-8"))
    assert marks == []


@pytest.mark.parametrize("path", (*MODULES, *MIGRATIONS), ids=name)
def test_no_error_is_swallowed(path: Path) -> None:
    """A broad `except` has to do something; bugs end loudly."""
    wrong = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
        )
        and all(isinstance(one, ast.Pass | ast.Continue) for one in node.body)
    ]
    assert wrong == []


PAGES = {"uvicorn", "starlette", "prometheus_client"}


@pytest.mark.parametrize(
    ("module", "slow"),
    [
        ("syncer.config", {"phonenumbers", "httpx", "sqlalchemy", "rich", "structlog", "asyncio"}),
        ("syncer.sync.jobs", {"alembic", "rich", "pygments", "apscheduler"} | PAGES),
        ("syncer.daemon.service", {"alembic", "rich", "pygments"} | PAGES),
    ],
)
def test_a_module_imports_no_slow_library_that_it_may_not_need(module: str, slow: set[str]) -> None:
    command = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {one.split(".")[0] for one in done.stdout.split()}
    assert loaded & slow == set()


def project() -> dict[str, object]:
    value = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert isinstance(value, dict)
    return value


def requirement_names(text: str) -> set[str]:
    return {match[0] for line in text.splitlines() if (match := re.match(r"[a-z0-9][a-z0-9._-]*", line))}


def test_pins_name_what_the_project_needs() -> None:
    listed = project()["dependencies"]
    assert isinstance(listed, list)
    needed = requirement_names("\n".join(listed))
    folder = ROOT / "requirements"
    assert requirement_names((folder / "run.in").read_text()) == needed
    pins = {one: (folder / f"{one}.txt").read_text() for one in ("run", "build", "dev")}
    assert needed <= requirement_names(pins["run"])

    versions = {
        one: set(re.findall(r"^([a-z0-9._-]+==\S+)", text, re.MULTILINE)) for one, text in pins.items()
    }
    assert versions["run"] | versions["build"] <= versions["dev"]
    for one, text in pins.items():
        assert all(
            "sha256:" in block for block in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
        ), one
        assert "://" not in text and "index" not in text, f"{one}.txt names a package index"


def test_the_version_is_in_one_place() -> None:
    assert "version" not in project()
    assert re.search(r'^__version__ = "\d+\.\d+\.\d+"$', (PACKAGE / "__init__.py").read_text(), re.MULTILINE)


def test_no_two_classes_have_one_name() -> None:
    """A reader who meets a name has to know which one it is. The sandbox speaks the vendors' language."""
    homes: dict[str, list[str]] = {}
    for path in MODULES:
        if not path.is_relative_to(PACKAGE / "sandbox"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    homes.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}
