"""Checks the docs against the code, both ways: commands, options, config keys, tables, queries, messages, links.

Whether the sentences around those names are true is left to the reader.
"""

from __future__ import annotations

import ast
import json
import re
import runpy
import sqlite3
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from syncer.cli.main import cli
from syncer.config import schema as config_schema
from syncer.config.keys import Table, keys_of
from syncer.config.load import settings_from
from syncer.config.secrets import variable
from syncer.config.targets import TARGETS
from syncer.store.db import migrations as database_schema
from syncer.store.db import views
from syncer.store.db.connection import Database
from syncer.store.db.tables import metadata

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
OPERATIONS = ROOT / "docs" / "operations.md"
COMMANDS = ROOT / "docs" / "commands.md"
QUERIES = ROOT / "docs" / "queries.md"
EDITING = ROOT / "docs" / "editing.md"
TABLES = ROOT / "docs" / "tables.md"
OPEN_QUESTIONS = ROOT / "docs" / "open-questions.md"
EXAMPLE = ROOT / "config.example.toml"
HIDDEN = (".venv", ".venv-bench", ".git", ".pytest_cache", ".hypothesis", "node_modules")
PAGES = sorted(
    page for page in ROOT.rglob("*.md") if not any(part in HIDDEN for part in page.relative_to(ROOT).parts)
)


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def fences(page: Path, *languages: str) -> list[str]:
    """The contents of the fenced blocks in these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text(page), re.DOTALL | re.MULTILINE)
    return [body for language, body in found if language in languages]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```\w*\n.*?^```$", "", text(page), flags=re.DOTALL | re.MULTILINE)


# -- commands ------------------------------------------------------------------------------------------


@cache
def commands() -> dict[tuple[str, ...], frozenset[str]]:
    """Every command of the tree, with the options that it takes; () is the program itself."""
    return dict(_walk(cli, ()))


def _walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    switches = {name for one in command.params if isinstance(one, click.Option) for name in one.opts}
    yield path, frozenset(switches | {"--help"})
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _walk(found, (*path, name))


def resolve(words: list[str]) -> tuple[str, ...]:
    """The command that these words begin with."""
    path: tuple[str, ...] = ()
    for word in words:
        if (*path, word) not in commands():
            break
        path = (*path, word)
    return path


def shown(page: Path) -> Iterator[tuple[str, str]]:
    """Every call of the program that a page shows, and the text that names its options.

    In the table of commands that text is the whole row.
    """
    for block in fences(page, "sh", "text", "ini", ""):
        for line in block.splitlines():
            for call in re.findall(r"(?:^|\$ |/|sudo -u syncer )(syncer [a-z-].*)", line.split(" # ")[0]):
                yield call, call
    for line in prose(page).splitlines():
        calls = re.findall(r"`(syncer [^`]+)`", line)
        for call in calls:
            yield call, line if line.startswith("| `syncer ") else call


#: What may come before a command.
OUTER = r"--config \S+|--log-level \S+"


def options_in(said: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", said))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_command_and_option_that_is_shown_exists(page: Path) -> None:
    wrong = []
    rows: dict[str, set[str]] = {}
    for call, said in shown(page):
        words = re.sub(OUTER, "", call).replace("|", " ").split()[1:]
        path = resolve(words)
        rest = words[len(path) :]
        group = any(other[:-1] == path for other in commands() if other)
        if group and rest and re.fullmatch(r"[a-z-]+", rest[0]) and not rest[0].startswith("-"):
            wrong.append(f"there is no command: {call}")
        if said == call:
            wrong += [
                f"{option} of: {call}" for option in options_in(re.sub(OUTER, "", call)) - commands()[path]
            ]
        else:
            rows.setdefault(said, set()).update(commands()[path])
    for said, taken in rows.items():
        wrong += [f"{option} in the row: {said}" for option in options_in(said) - taken]
    assert wrong == []


def test_every_command_is_documented_with_its_options() -> None:
    rows = [line for line in text(COMMANDS).splitlines() if line.startswith("| `syncer ")]
    documented = {
        resolve(call.split()[1:]): options_in(row)
        for row in rows
        for call in re.findall(r"`(syncer [^`]+)`", row)
    }
    leaves = {path for path in commands() if path and not any(path == other[:-1] for other in commands())}
    assert leaves - documented.keys() == set()
    missing = {path: commands()[path] - named - {"--help"} for path, named in documented.items()}
    assert {path: options for path, options in missing.items() if options} == {}
    assert commands()[()] - options_in(text(COMMANDS)) == set()


# -- the config ----------------------------------------------------------------------------------------


def keys(model: type[Table], where: str = "") -> Iterator[str]:
    """Every key below a table, dotted."""
    for name, key in keys_of(model).items():
        yield f"{where}{name}"
        if key.table is not None:
            yield from keys(type(key.table), f"{where}{name}.")


@cache
def config_keys() -> dict[str, frozenset[str]]:
    """Heading (`database`, `telecmi`) -> every key below it."""
    models = {**config_schema.SECTIONS, **config_schema.VENDORS, **TARGETS}
    return {heading: frozenset(keys(model)) for heading, model in models.items()}


def named_keys(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(heading, dotted key) of all that a config says; the name of an account is left out."""
    for heading, table in config.items():
        tables = table.values() if heading in {**config_schema.VENDORS, **TARGETS} else [table]
        for one in tables:
            yield from ((heading, key) for key in _dotted(one, ""))


def _dotted(table: dict[str, Any], where: str) -> Iterator[str]:
    for key, value in table.items():
        yield f"{where}{key}"
        if isinstance(value, dict):
            yield from _dotted(value, f"{where}{key}.")


def test_the_example_shows_every_key() -> None:
    # A key that is off is commented out with "# " at the start of a line.
    lines = [re.sub(r"^# (?=[a-z_]+ += |\[)", "", line) for line in text(EXAMPLE).splitlines()]
    whole = "\n".join(lines)
    shown_keys: set[tuple[str, str]] = set()
    for part in re.split(r"^(?=\[)", whole, flags=re.MULTILINE)[1:]:
        seen: set[str] = set()
        kept = []
        for line in part.splitlines():  # "token" may be there twice, as a key and as a comment
            key = line.split("=")[0].strip()
            if not line.startswith("#") and key not in seen:
                kept.append(line)
                seen.add(key)
        shown_keys |= set(named_keys(tomllib.loads("\n".join(kept))))
    every = {(heading, key) for heading, known in config_keys().items() for key in known}
    assert every - shown_keys == set(), "keys that config.example.toml does not show"
    assert shown_keys - every == set(), "keys in config.example.toml that do not exist"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_key_in_the_docs_exists(page: Path) -> None:
    wrong = [
        f"{heading}.{key}"
        for block in fences(page, "toml")
        for heading, key in named_keys(tomllib.loads(block))
        if key not in config_keys().get(heading, frozenset())
    ]
    for heading, key in re.findall(r"`(\w+)\.(\w+)`", prose(page)):
        if heading in config_schema.SECTIONS and key not in config_keys()[heading]:
            wrong.append(f"{heading}.{key}")
    assert wrong == []


def test_the_config_of_the_readme_is_complete(tmp_path: Path) -> None:
    [block] = [block for block in fences(README, "toml") if "[telecmi.main]" in block]
    environ = {
        variable(kind, "main", key): "such-a-secret"
        for kind, key in (("telecmi", "secret"), ("telecmi", "password"), ("smartflo", "token"))
    }
    settings = settings_from(tomllib.loads(block), tmp_path, environ)
    assert [account.label for account in settings.accounts] == ["telecmi.main", "smartflo.main"]


# -- the tables ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("docs") / "mirror.db"
    with Database(path) as db:
        database_schema.upgrade(db)
    return path


def documented() -> dict[str, list[str]]:
    """Table or view -> its columns, as docs/tables.md has them."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^### ", text(TABLES), flags=re.MULTILINE)[1:]:
        name, _, rest = part.partition("\n")
        found[name.strip()] = re.findall(r"^\| `(\w+)` \| \S.* \|$", rest.split("\n## ")[0], re.MULTILINE)
    return found


def test_every_table_and_view_is_documented_with_just_its_columns(database: Path) -> None:
    with sqlite3.connect(database) as conn:
        real = {
            name: [row[1] for row in conn.execute(f"PRAGMA table_info({name})")]
            for name in (*metadata.tables, *views.expected())
        }
    conn.close()
    assert documented() == real


def test_every_query_runs(database: Path) -> None:
    chapter = text(QUERIES)
    queries = re.findall(r"^```sql\n(.*?)^```$", chapter, re.DOTALL | re.MULTILINE)
    assert len(queries) >= 10
    conn = sqlite3.connect(database)
    try:
        for query in queries:
            conn.execute(f"EXPLAIN {query}").fetchall()
            names = [column[0] for column in conn.execute(query).description]
            headings = chapter.split(query)[1].split("```text\n")[1].split("\n")[0].split()
            assert headings == names, f"the output below is not from this query: {query}"
    finally:
        conn.close()


def test_the_documented_refusals_are_real(tmp_path: Path) -> None:
    every = " ".join(
        re.sub(r"\s+", " ", str(sql).replace("''", "'")) for sql in _trigger_texts(tmp_path / "mirror.db")
    )
    block = next(block for block in fences(EDITING, "text") if "REPLACE INTO" in block)
    sentences = [
        " ".join(part.splitlines()[1:]) for part in re.split(r"^sqlite> ", block, flags=re.MULTILINE)[1:]
    ]
    assert sentences
    assert [sentence for sentence in sentences if sentence not in every] == []


def _trigger_texts(path: Path) -> list[str]:
    with Database(path) as db:
        database_schema.upgrade(db)
        with db.read() as conn:
            rows = conn.exec_driver_sql("SELECT sql FROM sqlite_master WHERE type = 'trigger'")
            return [str(row[0]) for row in rows]


def test_the_metadata_for_datasette_says_what_the_pages_say() -> None:
    folder = ROOT / "deploy" / "datasette"
    made = runpy.run_path(str(folder / "make_metadata.py"))["metadata"]()
    assert json.loads(text(folder / "metadata.json")) == made, "run: python deploy/datasette/make_metadata.py"


# -- messages -----------------------------------------------------------------------------------------

#: Calls whose text a person may read in the log, or as the reason why a run was not ok.
LOGGED = {"error", "warning", "exception", "failing", "notice", "incomplete"}

#: Errors whose text a person may read: from the database, the vendors, locks.
RAISED = {
    "StoreError", "StoreBusyError", "SchemaError", "LockedError", "ListenError", "TransientError",
    "AuthError", "BadAnswerError", "misshapen", "broken", "_refuse",
}  # fmt: skip

#: A shorter piece of a message is too short to look up.
MIN_LENGTH = 14


def pieces(node: ast.expr) -> list[str]:
    """The constant pieces of a composed text."""
    match node:
        case ast.Constant(value=str(value)):
            return [value]
        case ast.JoinedStr(values=values):
            return [piece for value in values for piece in pieces(value)]
    return []


def sentences() -> Iterator[tuple[str, str]]:
    """(where, its longest constant piece) of every such message."""
    rooms = ("daemon", "sync", "store", "remote", "core/push.py", "locks.py")
    files = [
        file
        for room in rooms
        for file in sorted((ROOT / "syncer").glob(room if room.endswith(".py") else f"{room}/*.py"))
    ]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called not in LOGGED | RAISED:
                continue
            # The reason comes after the condition, or the change, that it is about.
            for argument in node.args[-1:] if called == "_refuse" else node.args:
                longest = max(pieces(argument), key=len, default="")
                if len(longest) >= MIN_LENGTH and " " in longest.strip():
                    yield f"{file.relative_to(ROOT)}:{node.lineno}", longest


def squeezed(said: str) -> str:
    """Without the markup of a table cell."""
    return re.sub(r"\s+", " ", re.sub(r"[`\\*]", "", said))


def test_every_message_is_explained() -> None:
    guide = squeezed(text(OPERATIONS))
    found = list(sentences())
    assert len(found) > 40
    missing = [f"{where}: {said!r}" for where, said in found if squeezed(said).strip(" ;:,.(") not in guide]
    assert missing == [], "messages that docs/operations.md does not explain"


# -- the open questions --------------------------------------------------------------------------------


def test_every_test_that_the_open_questions_name_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text(OPEN_QUESTIONS))
    assert len(named) > 20
    wrong = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file()
        or not re.search(rf"^ *(?:async )?def {name}\(", text(ROOT / file), re.MULTILINE)
    ]
    assert wrong == []


def test_every_open_question_is_shown_by_a_test() -> None:
    rows = [line for line in text(OPEN_QUESTIONS).splitlines() if line.startswith("| ")]
    bare = [row for row in rows if "::test_" not in row and not re.match(r"\| (question|-)", row)]
    assert bare == []


# -- links, and what no page may hold ------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_work(page: Path) -> None:
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            wrong.append(target)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_contains_a_path_of_a_machine(page: Path) -> None:
    assert re.findall(r"(?:/work|/root|/home|/Users)/\S*|/tmp/syncer-demo-\S+", text(page)) == []
