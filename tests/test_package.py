"""What `pip install` of this tree puts in place: built for real, as deploy/install.sh does."""

from __future__ import annotations

import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parent.parent


def test_the_wheel_holds_the_program_and_what_it_needs_to_run(tmp_path: Path) -> None:
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        names = set(wheel.namelist())
    assert {
        "syncer/cli/main.py",
        "syncer/py.typed",
        "syncer/_config.example.toml",
        "syncer/_migrations/env.py",
    } <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"syncer"}, "nothing but the program"
    shipped = {name.removeprefix("syncer/_migrations/") for name in names if "/_migrations/versions/" in name}
    ours = {f"versions/{path.name}" for path in (ROOT / "migrations" / "versions").glob("*.py")}
    assert shipped == ours
