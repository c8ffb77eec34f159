"""From the config file to settings: read it, collect all problems, build the settings."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from syncer import files
from syncer.config import schema
from syncer.config.keys import Table, keys_of, read_table, unknown
from syncer.config.schema import Account, Named, placeholders
from syncer.config.secrets import Sources, clashes, not_for_root, unreadable, variable, ways
from syncer.config.settings import Credentials, Settings
from syncer.config.targets import TARGETS, NotifyTarget
from syncer.core.secret import Secret
from syncer.errors import ConfigError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: The most bytes that are read of a config or of certificates.
_MOST: Final = 4 * 1024 * 1024

_AT: Final = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)

_T = TypeVar("_T", bound=Table)
N = TypeVar("N", bound=Named)


def load_settings(
    path: Path, environ: Mapping[str, str], credentials: Credentials = Credentials.SENT
) -> Settings:
    """Read one config file and its secrets. ConfigError with all problems.

    Root accepts no file that others may change, and no folder of others.
    """
    path = path.absolute()
    settings = settings_from(_parse(path), path.parent, environ, credentials, path=path)
    try:
        files.refuse_root(settings.database.path.parent, "database.url", settings.database.group)
    except OSError as error:
        raise ConfigError([f"The folder of the database cannot be used: {error.strerror}."]) from None
    return settings


def settings_from(
    raw: Mapping[str, Any],
    folder: Path,
    environ: Mapping[str, str],
    credentials: Credentials = Credentials.SENT,
    *,
    path: Path | None = None,
) -> Settings:
    """Check tables as a config file has them. Paths are relative to `folder`. ConfigError with all problems."""
    problems: list[str] = []
    reader = _Reader(Sources(environ, folder), problems, credentials)
    known = (*schema.SECTIONS, *schema.VENDORS, *TARGETS)
    problems.extend(unknown("", name, known) for name in raw if name not in known)

    sections: dict[str, Any] = {
        name: reader.section(model, name, raw) for name, model in schema.SECTIONS.items()
    }
    accounts = [
        account for kind, model in schema.VENDORS.items() for account in reader.accounts(kind, model, raw)
    ]
    targets = [target for kind, model in TARGETS.items() for target in reader.targets(kind, model, raw)]
    if not any(raw.get(kind) for kind in schema.VENDORS):
        problems.append(
            "No account is configured; add one below a heading such as [telecmi.main] or [smartflo.main] "
            "(`syncer init` writes an example)."
        )
    found = reader.sources.found
    settings = reader.with_paths(Settings(path, tuple(accounts), tuple(targets), sources=found, **sections))
    problems.extend(_faults_of_all(settings, sections["http"], raw.get("http", {}), credentials))
    if problems:
        raise ConfigError(problems)
    return settings


def _faults_of_all(
    settings: Settings, http: schema.Http, given_http: object, credentials: Credentials
) -> Iterator[str]:
    """Errors that no table shows by itself. `http` is the table [http], which `settings` may lack, and as given."""
    with suppress(OSError):  # opening the database reports it
        if odd := files.oddity_at(settings.database.path):
            yield f"database.url names {odd}, {settings.database.path}; name a plain file of its own."
    if isinstance(given_http, dict) and "listen" not in given_http:  # a wrong address is reported already
        how = 'write listen = "127.0.0.1:9464" below [http].'
        for target in settings.targets:
            if target.needs_pages:
                yield f"{target.label} is answered by the daemon's pages, which are off; {how}"
        if http.console:
            yield f"http.console is true, and the page has no address; {how}"
    if credentials is Credentials.SENT:
        for account in settings.accounts:
            for name in placeholders(account):
                yield (
                    f"{account.label}.{name} is still the placeholder of the example; write the real one, "
                    f"or remove the key, or all of [{account.label}] if you do not use this vendor."
                )


def _parse(path: Path) -> dict[str, Any]:
    try:
        if path.is_dir():
            raise ConfigError([f"{path} is a folder; name the config file in it."])
        if other := not_for_root(path):
            raise ConfigError([f"The config file {path}: {other}"])
        content = files.read_linked(path, _MOST)
        if len(content) > _MOST:
            raise ConfigError([f"The config file {path} is far too long; name the config file."])
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            [f"There is no config file {path}; `syncer init {path}` writes one to start from."]
        ) from None
    except OSError as error:
        raise ConfigError([f"The config file {path} {unreadable(error)}"]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            [f"The config file {path} is not UTF-8 text (line {line}); save it in that encoding."]
        ) from None
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError([f"The config file {path} is nested too deeply; write plain tables."]) from None
    except ValueError as error:
        # Not from the error: it may quote a line with a secret.
        raise ConfigError([_bad_toml(path, text, error)]) from None


def _bad_toml(path: Path, text: str, error: ValueError) -> str:
    match = _AT.fullmatch(str(error)) if isinstance(error, tomllib.TOMLDecodeError) else None
    if match is None:
        return f"The config file {path} is not valid TOML: it holds a value that cannot be read; put text in quotes."
    what = match[1][:1].lower() + match[1][1:]
    lines = text.splitlines() or [""]
    line, column = match[2] or len(lines), match[3] or len(lines[-1]) + 1
    return f"The config file {path} is not valid TOML: {what} at line {line}, column {column}; fix that line."


class _Reader:
    """Reads tables into settings and collects the problems."""

    def __init__(self, sources: Sources, problems: list[str], credentials: Credentials) -> None:
        self.sources = sources
        self._problems = problems
        self._credentials = credentials

    def path(self, key: str, text: str) -> Path:
        """A path of the config, relative to the folder of the file."""
        try:
            return self.sources.folder / files.expand(text)
        except OSError as error:
            self._problems.append(
                f"{key} names no path: {error.strerror}; write ./ before it if it is a file."
            )
            return self.sources.folder / text

    def section(self, model: type[_T], name: str, raw: Mapping[str, Any]) -> _T:
        """A table that exists once."""
        values, _ = read_table(model, name, raw.get(name, {}), self._problems)
        return model(**values)

    def with_paths(self, settings: Settings) -> Settings:
        """The settings with absolute paths, and without a page that is not reachable."""
        database = self.path("database.url", str(settings.database.path))
        return replace(
            settings,
            database=replace(settings.database, url=f"sqlite:///{database}"),
            backup=replace(settings.backup, path=self.path("backup.path", str(settings.backup.path))),
            audio=replace(settings.audio, path=self.path("audio.path", str(settings.audio.path))),
            http=settings.http if settings.http and settings.http.listen else None,
        )

    def accounts(self, kind: str, model: type[Account], raw: Mapping[str, Any]) -> list[Account]:
        """The accounts at one vendor."""
        found = []
        for name, table in self._named(kind, model, raw, "account").items():
            account, bad = self._read(kind, model, name, table)
            if account.ca_file is not None:
                account = replace(account, ca_file=self._ca_file(account.label, str(account.ca_file)))
            self._check_needs(account, bad)
            found.append(account)
        return found

    def targets(self, kind: str, model: type[Named], raw: Mapping[str, Any]) -> list[Named]:
        """The targets of one kind."""
        found = []
        for name, table in self._named(kind, model, raw, "target").items():
            target, _ = self._read(kind, model, name, table)
            if isinstance(target, NotifyTarget) and target.command:
                program = self._program(f"{target.label}.command", target.command[0])
                target = replace(target, command=(program, *target.command[1:]))
            found.append(target)
        self._problems.extend(model.faults_between(found))
        return found

    def _named(
        self, kind: str, model: type[Named], raw: Mapping[str, Any], what: str
    ) -> Mapping[str, object]:
        """The tables below the headings `[kind.NAME]`, by name."""
        tables = raw.get(kind, {})
        if not isinstance(tables, dict):
            self._problems.append(f"{kind} must hold {what}s; write a heading such as [{kind}.main].")
            return {}
        known = keys_of(model)
        loose = [name for name, table in tables.items() if name in known or not isinstance(table, dict)]
        for name in loose:
            self._problems.append(
                f"{kind}.{name} is outside any {what}; write it below a heading with the "
                f"{what}'s name, such as [{kind}.main]."
            )
        named = {name: table for name, table in tables.items() if name not in loose}
        for name in named:
            if not _NAME.fullmatch(name):
                self._problems.append(
                    f"{kind}.{name!r} is not a valid {what} name; use letters, digits, '-', '_' and '.', "
                    "a letter or digit first, at most 64."
                )
        self._problems.extend(clashes(kind, named))
        return named

    def _read(self, kind: str, model: type[N], name: str, raw: object) -> tuple[N, frozenset[str]]:
        """One of them with its secrets, and the keys that are already reported."""
        values, bad = read_table(model, f"{kind}.{name}", raw, self._problems)
        for one, known in keys_of(model).items():
            if known.secret and not one.endswith("_file"):
                given = values.pop(one, None), values.pop(f"{one}_file", None)
                values[one], bad = self._secret(kind, name, one, *given, bad)
        found = model(**values, name=name)
        self._problems.extend(found.faults(bad))
        return found, bad

    def _secret(
        self, kind: str, name: str, key: str, value: str | None, file: str | None, bad: frozenset[str]
    ) -> tuple[Secret | None, frozenset[str]]:
        if self._credentials is Credentials.UNUSED:
            return None, bad | {key}
        before = len(self._problems)
        secret = self.sources.find(kind, name, key, file=file, value=value, problems=self._problems)
        # A wrong value is not reported as missing as well.
        wrong = len(self._problems) > before or f"{key}_file" in bad
        return secret, bad | {key} if wrong or self._credentials is Credentials.LOCATED else bad

    def _check_needs(self, account: Account, bad: frozenset[str]) -> None:
        """Report keys that the account's jobs need and the config does not have. `bad` is already reported."""
        needing: dict[str, list[str]] = {}
        for name, job in account.jobs().items():
            if job.enabled and name not in bad and f"{name}.enabled" not in bad:
                for need in job.needs:
                    needing.setdefault(need, []).append(name)
        login = needing.pop("login", [])
        for need, jobs in needing.items():
            if getattr(account, need) is None and need not in bad:
                known = keys_of(type(account))[need]
                how = ways(account.kind, account.name, need) + ";"
                if not known.secret:
                    how = f"write {known.hint} below [{account.label}],"
                self._problems.append(
                    f"{account.label}.{need} is missing, and {_and(jobs)} need it; {how} "
                    f"or {_switch_off(account.label, jobs)}."
                )
        if login and not account.token and "token" not in bad:
            self._check_login(account, login, bad)

    def _check_login(self, account: Account, needing: list[str], bad: frozenset[str]) -> None:
        kind, name, label = account.kind, account.name, account.label
        verb = "needs" if needing == ["push"] else "need"
        either = f"{_and(needing)} {verb} a login or a token"
        give_user = f'write {account.login} = "..." below [{label}]'
        off = f"or {_switch_off(label, needing)}"
        no_user = not getattr(account, account.login) and account.login not in bad
        no_password = account.password is None and "password" not in bad
        if no_user and no_password:
            self._problems.append(
                f"{label}.{account.login} and {label}.password are missing, and so is {label}.token; {either}. "
                f"For a login, {give_user}, and for its password {ways(kind, name, 'password')}; "
                f"for a ready token do the same under the name token (${variable(kind, name, 'token')}); {off}."
            )
        elif no_user:
            self._problems.append(f"{label}.{account.login} is missing; {either}: {give_user}; {off}.")
        elif no_password:
            self._problems.append(
                f"{label}.password is missing; {either}: {ways(kind, name, 'password')}; {off}."
            )

    def _program(self, key: str, text: str) -> str:
        """The absolute path of a program that this user may run."""
        path = self.path(key, text)
        if self._credentials in (Credentials.SENT, Credentials.SHOWN):
            if not path.is_file():
                self._problems.append(f"{key}: there is no file {path}; write the path of a program.")
            elif not os.access(path, os.X_OK):
                self._problems.append(
                    f"{key}: {path} cannot be run by this user; make it executable (chmod +x), or name another program."
                )
        return str(path)

    def _ca_file(self, label: str, value: str) -> Path:
        path = self.path(f"{label}.ca_file", value)
        try:
            other = not_for_root(path)
            usable = b"-----BEGIN CERTIFICATE-----" in files.read_linked(path, _MOST)
        except (OSError, ValueError):
            other, usable = None, False
        if other is not None:
            self._problems.append(f"{label}.ca_file: the file {path}: {other}")
        elif not usable:
            self._problems.append(
                f"{label}.ca_file: {str(path)!r} is not a file of certificates (PEM) that this user can read; "
                "name one, or remove the key."
            )
        return path


def _switch_off(label: str, jobs: list[str]) -> str:
    lines = _and([f"{job} = {{ enabled = false }}" for job in jobs])
    return f"switch {'them' if len(jobs) > 1 else 'that job'} off with {lines} below [{label}]"


def _and(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
