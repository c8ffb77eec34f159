"""Where a secret comes from: the environment, a credential of the service manager, a file, the key itself.

What a missing secret means is left to `load`. No sentence made here holds any part of a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncer.core.secret import Secret

#: More than any password has; it ends the reading of a device or a wrong file.
_MOST: Final = 64 * 1024


def variable(kind: str, account: str, key: str) -> str:
    """The environment name of a secret: `SYNCER_TELECMI_MAIN_SECRET`."""
    return "_".join(("SYNCER", kind, account, key)).replace("-", "_").replace(".", "_").upper()


def credential(kind: str, account: str, key: str) -> str:
    """The file name of a secret in `$CREDENTIALS_DIRECTORY`: `telecmi.main.secret`."""
    return f"{kind}.{account}.{key}"


def ways(kind: str, account: str, key: str) -> str:
    """All ways to give a secret, for a person."""
    return (
        f"set ${variable(kind, account, key)}, put a file {credential(kind, account, key)} into "
        f'$CREDENTIALS_DIRECTORY, or write {key}_file = "..." or {key} = "..." below [{kind}.{account}]'
    )


def clashes(kind: str, names: Iterable[str]) -> list[str]:
    """A sentence for each two accounts whose environment names are the same."""
    taken: dict[str, str] = {}
    found = []
    for name in names:
        other = taken.setdefault(variable(kind, name, "secret"), name)
        if other != name:
            found.append(
                f"{kind}.{name} and {kind}.{other} would take their secrets from the same environment names; "
                "rename one of them so that they differ in more than case, '-', '_' and '.'."
            )
    return found


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that a secret may come from, but for the key itself."""

    environ: Mapping[str, str]
    folder: Path  #: what a relative `*_file` counts from

    def find(
        self, kind: str, account: str, key: str, *, file: str | None, value: str | None, problems: list[str]
    ) -> Secret | None:
        """The secret from the first source that has it; an empty variable or key counts as none.

        A file that is named but cannot be read, or is empty, is a problem: falling back to an older
        secret without a word would be worse.
        """
        where = f"{kind}.{account}.{key}"
        text = self.environ.get(variable(kind, account, key))
        source = f"${variable(kind, account, key)}"
        if not text:
            path, named_by = self._file(kind, account, key, file)
            if path is not None:
                text = _read(path, named_by, problems)
                source = str(path)
                if text is None:
                    return None
        if not text:
            text, source = value, where
        if not text:
            return None
        if kind == "smartflo" and key == "token":
            text = _without_bearer(text)
        fault = _fault(key, text)
        if fault:
            problems.append(f"{where} cannot be used: what {source} holds {fault}; write the {key} alone.")
            return None
        return Secret(text)

    def _file(self, kind: str, account: str, key: str, file: str | None) -> tuple[Path | None, str]:
        directory = self.environ.get("CREDENTIALS_DIRECTORY")
        if directory:
            path = Path(directory) / credential(kind, account, key)
            # A folder that may not be entered is told like a file that may not be read.
            if _there(path):
                return path, f"{kind}.{account}.{key}: the credential"
        if file:
            return self.folder / file, f"{kind}.{account}.{key}_file: the file"
        return None, ""


def _there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _read(path: Path, named_by: str, problems: list[str]) -> str | None:
    try:
        with path.open("rb") as file:
            text = file.read(_MOST + 1).decode().rstrip("\r\n")
    except OSError as error:
        problems.append(
            f"{named_by} {path} cannot be read ({error.strerror}); make it a file that this user may read."
        )
        return None
    except ValueError:
        # Not UTF-8, or a path that no file can have; the error would quote the content.
        problems.append(f"{named_by} {path} holds no text; write the secret into it, and nothing else.")
        return None
    if len(text) > _MOST:
        problems.append(f"{named_by} {path} is far too long; write the secret into it, and nothing else.")
        return None
    if not text.strip():
        problems.append(f"{named_by} {path} is empty; write the secret into it.")
        return None
    return text


def _without_bearer(token: str) -> str:
    word, _, rest = token.strip().partition(" ")
    return rest.strip() if word.lower() == "bearer" else token.strip()


def _fault(key: str, text: str) -> str | None:
    if not text:
        return "is empty"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        return "has a line break or a control character in it"
    if key == "token" and (not text.isascii() or " " in text):
        return "has letters in it that no token has"
    return None
