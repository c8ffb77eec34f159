"""Finds secrets: in the environment, a credential of the service manager, a file, or the key itself.

No message of this module contains any part of a secret.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from syncer import files
from syncer.config.settings import SecretSource
from syncer.core.secret import Secret

#: Unicode categories of invisible characters: other blanks, marks of direction and width, and the like.
_INVISIBLE: Final = ("Cf", "Zs", "Zl", "Zp")

#: More than the length of any password. Limits reading from a device or a wrong file.
_MOST: Final = 64 * 1024


def variable(kind: str, account: str, key: str) -> str:
    """The environment name of a secret: `SYNCER_TELECMI_MAIN_SECRET`."""
    return "_".join(("SYNCER", kind, account, key)).replace("-", "_").replace(".", "_").upper()


def credential(kind: str, account: str, key: str) -> str:
    """The file name of a secret in `$CREDENTIALS_DIRECTORY`: `telecmi.main.secret`."""
    return f"{kind}.{account}.{key}"


def ways(kind: str, account: str, key: str) -> str:
    """All ways to set a secret, in words."""
    return (
        f"set ${variable(kind, account, key)}, put a file {credential(kind, account, key)} into "
        f'$CREDENTIALS_DIRECTORY, or write {key}_file = "..." or {key} = "..." below [{kind}.{account}]'
    )


def clashes(kind: str, names: Iterable[str]) -> list[str]:
    """A sentence for each pair of accounts with the same environment names."""
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
    """The sources of secrets, except the key itself."""

    environ: Mapping[str, str]
    folder: Path  #: the folder of relative `*_file` paths
    #: Where each secret was found, by account and key.
    found: dict[str, SecretSource] = field(default_factory=dict)

    def find(
        self, kind: str, account: str, key: str, *, file: str | None, value: str | None, problems: list[str]
    ) -> Secret | None:
        """The secret from the first source that has it. An empty variable or key counts as missing.

        A named file that is empty or cannot be read is a problem: silently using an older secret would be worse.
        """
        where = f"{kind}.{account}.{key}"
        text = self.environ.get(variable(kind, account, key))
        source = SecretSource(f"${variable(kind, account, key)}")
        if not text:
            path, named_by = self._file(kind, account, key, file, problems)
            if named_by:
                text = None if path is None else _read(path, named_by, problems)
                if text is None:
                    return None
                source = SecretSource(f"the file {path}", path)
        if not text:
            text, source = value, SecretSource("the config")
        if not text:
            return None
        text = text.removeprefix("\ufeff")
        if key != "password":
            text = text.strip(" ")
        if key == "token":
            text = _without_bearer(text)
        fault = _fault(key, text)
        if fault:
            problems.append(
                f"{where} cannot be used: what {source.words} holds {fault}; write the {key} alone."
            )
            return None
        self.found[where] = source
        return Secret(text)

    def _file(
        self, kind: str, account: str, key: str, file: str | None, problems: list[str]
    ) -> tuple[Path | None, str]:
        """The file with the secret, and what names it ("" if nothing does)."""
        directory = self.environ.get("CREDENTIALS_DIRECTORY")
        if directory:
            path = Path(directory) / credential(kind, account, key)
            # An inaccessible folder is reported like an unreadable file.
            if _there(path):
                return path, f"{kind}.{account}.{key}: the credential"
        if file:
            named_by = f"{kind}.{account}.{key}_file: the file"
            try:
                return self.folder / files.expand(file), named_by
            except OSError as error:
                problems.append(f"{named_by} {file} cannot be found: {error.strerror}.")
                return None, named_by
        return None, ""


def _there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _read(path: Path, named_by: str, problems: list[str]) -> str | None:
    try:
        if other := not_for_root(path):
            problems.append(f"{named_by} {path}: {other}")
            return None
        text = files.read_linked(path, _MOST).decode("utf-8-sig").rstrip("\r\n")
    except OSError as error:
        problems.append(f"{named_by} {path} {unreadable(error)}")
        return None
    except ValueError:
        # Not UTF-8, or an impossible path. The error itself would quote the content.
        problems.append(
            f"{named_by} {path} holds no text in UTF-8; write the secret into it, and nothing else."
        )
        return None
    if len(text) > _MOST:
        problems.append(f"{named_by} {path} is far too long; write the secret into it, and nothing else.")
        return None
    if not text.strip():
        problems.append(f"{named_by} {path} is empty; write the secret into it.")
        return None
    return text


def not_for_root(path: Path) -> str | None:
    """Why root does not accept a config or a file that it names; None for other users. Raises OSError."""
    other = files.outsider(path)
    if other is None:
        return None
    return (
        f"root does not take it, since {other}. {other.advice}, or keep the file where root alone may write."
    )


def unreadable(error: OSError) -> str:
    """What is wrong with a file, and how to fix it without making it readable for everybody."""
    refused = isinstance(error, PermissionError)
    advice = (
        "give it to the user that runs syncer (chown USER, chmod 600)" if refused else "name one that can"
    )
    return f"cannot be read ({error.strerror}); {advice}."


def _without_bearer(token: str) -> str:
    word, _, rest = token.partition(" ")
    return rest.strip(" ") if word.lower() == "bearer" else token


def _fault(key: str, text: str) -> str | None:
    if not text:
        return "is empty"
    for sign in text:
        kind = unicodedata.category(sign)
        if kind == "Cc":
            return "has a line break or a control character in it"
        if kind in _INVISIBLE and sign != " ":
            return f"has an invisible character in it (U+{ord(sign):04X})"
    if key == "token" and (not text.isascii() or " " in text):
        return "has characters in it that no token has"
    return None
