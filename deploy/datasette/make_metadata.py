"""Writes metadata.json for Datasette from docs/tables.md and docs/queries.md: `python deploy/datasette/make_metadata.py`.

A test keeps the file up to date.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs"

#: The headings of docs/tables.md below which everybody may look; the rest is hidden.
OPEN = ("Views", "Mirrors", "The queue and the record")


def plain(text: str) -> str:
    """Without the markup of a page."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return " ".join(re.sub(r"[`*]", "", text).split())


def tables() -> dict[str, Any]:
    """Each table and view: what it is, what its columns are, whether it is hidden."""
    found: dict[str, Any] = {"alembic_version": {"hidden": True}}
    for chapter in re.split(r"^## ", (DOCS / "tables.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[
        1:
    ]:
        heading, _, body = chapter.partition("\n")
        for part in re.split(r"^### ", body, flags=re.MULTILINE)[1:]:
            name, _, rest = part.partition("\n")
            text = rest.partition("\n|")[0]
            columns = dict(re.findall(r"^\| `(\w+)` \| (\S.*) \|$", rest, re.MULTILINE))
            one: dict[str, Any] = {
                "description": plain(text),
                "columns": {column: plain(said) for column, said in columns.items()},
            }
            if heading.strip() not in OPEN:
                one["hidden"] = True
            found[name.strip()] = one
    return found


def queries() -> dict[str, Any]:
    """The everyday queries, by a short name."""
    text = (DOCS / "queries.md").read_text(encoding="utf-8")
    found: dict[str, Any] = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        for number, sql in enumerate(re.findall(r"^```sql\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)):
            name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") + (f"-{number + 1}" if number else "")
            found[name] = {"title": plain(title), "sql": sql.strip().rstrip(";")}
    return found


def metadata() -> dict[str, Any]:
    """The whole file."""
    return {
        "title": "syncer",
        "description": "The mirror of TeleCMI and Smartflo. Read-only here: contacts are edited in telecmi_contacts, or on the page.",
        "databases": {"syncer": {"tables": tables(), "queries": queries()}},
    }


if __name__ == "__main__":
    text = json.dumps(metadata(), indent=2, ensure_ascii=False)
    (HERE / "metadata.json").write_text(f"{text}\n", encoding="utf-8")
