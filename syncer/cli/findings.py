"""What `doctor` reports: one finding per line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from syncer.cli.output import say

Level = Literal["ok", "note", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Level
    about: str  #: `config`, `database`, `telecmi.main`, ...
    text: str
    fix: str = ""  #: what to do about it
    credentials: bool = False  #: a vendor refused the credentials

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        said = {"level": self.level, "about": self.about, "text": self.text}
        return said | {"mend": self.fix, "credentials": self.credentials}


def show(findings: Iterable[Finding]) -> None:
    """Findings for people."""
    for one in findings:
        say(f"{one.level:<8} {one.about}: {one.text}")
        if one.fix:
            say(f"         {one.fix}")
