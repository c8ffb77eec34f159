"""What `doctor` says: one line a finding. Finding them is left to `doctor.py` and `upstream.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from syncer.cli.common import say

Level = Literal["ok", "note", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Level
    about: str  #: `config`, `database`, `telecmi.main`, ...
    text: str
    mend: str = ""  #: what to do about it
    credentials: bool = False  #: an upstream refused the credentials


def show(finding: Finding) -> None:
    """One finding for people."""
    say(f"{finding.level:<8} {finding.about}: {finding.text}")
    if finding.mend:
        say(f"         {finding.mend}")
