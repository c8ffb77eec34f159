"""From the config file to settings: find it, read it, gather every problem, build what is right.

The shape of single tables is left to `schema`, where secrets come from to `secrets`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from syncer import files
from syncer.config import schema
from syncer.config.secrets import Sources, clashes, not_for_root, unreadable, variable, ways
from syncer.config.settings import (
    LOOPBACK,
    Account,
    Backup,
    Credentials,
    Database,
    Http,
    Job,
    Monitor,
    PushJob,
    Retention,
    Settings,
    SmartfloAccount,
    SmartfloJob,
    TelecmiAccount,
    VoicemailJob,
    placeholders,
)
from syncer.core.secret import Secret
from syncer.errors import ConfigError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Bytes that are read of a config or of certificates.
_MOST: Final = 4 * 1024 * 1024

_AT: Final = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)

_T = TypeVar("_T", bound=schema.Table)
_Bad: TypeAlias = frozenset[str]


def read_settings(
    path: Path, environ: Mapping[str, str], credentials: Credentials = Credentials.SENT
) -> Settings:
    """Read and check one config file; ConfigError with all problems."""
    path = path.absolute()
    settings = build_settings(_parse(path), path.parent, environ, path=path, credentials=credentials)
    try:
        files.refuse_root(settings.database.path.parent, "database.url", settings.database.group)
    except OSError as error:
        raise ConfigError([f"The folder of the database cannot be used: {error.strerror}."]) from None
    return settings


def build_settings(
    raw: Mapping[str, Any],
    folder: Path,
    environ: Mapping[str, str],
    *,
    path: Path | None = None,
    credentials: Credentials = Credentials.SENT,
) -> Settings:
    """Check what a config file holds; relative paths count from `folder`. ConfigError with all problems."""
    problems: list[str] = []
    reader = _Reader(Sources(environ, folder), problems, credentials)
    known = (*schema.SECTIONS, *schema.VENDORS)
    problems.extend(schema.unknown("", key, known) for key in raw if key not in known)

    database = reader.section(schema.DatabaseTable, "database", raw)
    http = reader.section(schema.HttpTable, "http", raw)
    monitor = reader.section(schema.MonitorTable, "monitor", raw)
    backup = reader.section(schema.BackupTable, "backup", raw)
    retention = reader.section(schema.RetentionTable, "retention", raw)
    accounts: list[Account] = []
    for name, table in reader.account_tables("telecmi", raw):
        accounts.append(reader.telecmi(name, table))
    for name, table in reader.account_tables("smartflo", raw):
        accounts.append(reader.smartflo(name, table))
    if not any(raw.get(kind) for kind in schema.VENDORS):
        problems.append(
            "No account is configured; add one below a heading such as [telecmi.main] or [smartflo.main] "
            "(`syncer init` writes an example)."
        )

    database_path = reader.path("database.url", database.url)
    with suppress(OSError):  # who opens it says so
        if odd := files.oddity_at(database_path):
            problems.append(f"database.url names {odd}, {database_path}; name a plain file of its own.")
    if database.group == "":
        problems.append("database.group is empty; name a group of this machine, or remove the key.")
    backup_path = reader.path("backup.path", backup.path)
    if credentials is Credentials.SENT:
        for account in accounts:
            problems.extend(
                f"{account.label}.{key} is still the placeholder of the example; write the real one, or remove the key."
                for key in placeholders(account)
            )
    if problems:
        raise ConfigError(problems)
    return Settings(
        path=path,
        database=Database(url=f"sqlite:///{database_path}", path=database_path, group=database.group),
        http=_http(*http.listen, http.hosts) if http.listen else None,
        accounts=tuple(accounts),
        monitor=Monitor(ping_url=Secret(monitor.ping_url) if monitor.ping_url else None),
        backup=Backup(backup.enabled, backup.every, backup.keep, backup_path),
        retention=Retention(retention.runs, retention.log),
        sources=reader.sources.found,
    )


def _http(host: str, port: int, hosts: frozenset[str] | None) -> Http:
    """Without `hosts`: the names of this machine's loopback, and the address to listen on if it is one."""
    if hosts is None:
        address = f"[{host}]" if ":" in host else host
        hosts = LOOPBACK | ({address.lower()} if host not in ("0.0.0.0", "::") else frozenset())  # noqa: S104 - not bound here
    return Http(host, port, hosts)


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
        # Not from the error: it may quote a line with a secret in it.
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
    """Reads tables into settings and keeps the problems met on the way."""

    def __init__(self, sources: Sources, problems: list[str], credentials: Credentials) -> None:
        self.sources = sources
        self._problems = problems
        self._credentials = credentials

    def path(self, key: str, text: str) -> Path:
        """A path of the config; it counts from the folder of the file."""
        try:
            return self.sources.folder / files.expand(text)
        except OSError as error:
            self._problems.append(
                f"{key} names no path: {error.strerror}; write ./ before it if it is a file."
            )
            return self.sources.folder / text

    def section(self, model: type[_T], name: str, raw: Mapping[str, Any]) -> _T:
        table, _ = schema.read_table(model, name, raw.get(name, {}), self._problems)
        return table

    def account_tables(self, kind: str, raw: Mapping[str, Any]) -> list[tuple[str, object]]:
        tables = raw.get(kind, {})
        if not isinstance(tables, dict):
            self._problems.append(f"{kind} must hold accounts; write a heading such as [{kind}.main].")
            return []
        keys = schema.VENDORS[kind].keys
        loose = [name for name, table in tables.items() if name in keys or not isinstance(table, dict)]
        for name in loose:
            self._problems.append(
                f"{kind}.{name} is outside any account; write it below a heading with the "
                f"account's name, such as [{kind}.main]."
            )
        accounts = [(name, table) for name, table in tables.items() if name not in loose]
        for name, _ in accounts:
            if not _NAME.fullmatch(name):
                self._problems.append(
                    f"{kind}.{name!r} is not a valid account name; use letters, digits, '-', '_' and '.', "
                    "a letter or digit first, at most 64."
                )
        self._problems.extend(clashes(kind, [name for name, _ in accounts]))
        return accounts

    def telecmi(self, name: str, raw: object) -> TelecmiAccount:
        label = f"telecmi.{name}"
        table, bad = schema.read_table(schema.TelecmiTable, label, raw, self._problems)
        secret, bad = self._secret("telecmi", name, "secret", table.secret, table.secret_file, bad)
        password, bad = self._secret("telecmi", name, "password", table.password, table.password_file, bad)
        token, bad = self._secret("telecmi", name, "token", table.token, table.token_file, bad)
        if _on("voicemails", table.voicemails.enabled, bad):
            off = _switch_off(label, ["voicemails"])
            if table.app_id is None and "app_id" not in bad:
                self._problems.append(
                    f"{label}.app_id is missing, and voicemails need it; write app_id = 1111113 with the "
                    f"number from the vendor's dashboard below [{label}], or {off}."
                )
            if secret is None and "secret" not in bad:
                self._problems.append(
                    f"{label}.secret is missing, and voicemails need it; "
                    f"{ways('telecmi', name, 'secret')}; or {off}."
                )
        needing = [
            job
            for job, on in (
                ("contacts", table.contacts.enabled),
                ("user_contacts", table.user_contacts.enabled),
                ("push", table.push.enabled),
            )
            if _on(job, on, bad)
        ]
        self._check_login("telecmi", name, "user_id", table.user_id or None, password, token, needing, bad)
        return TelecmiAccount(
            name=name,
            label=label,
            base_url=table.base_url,
            app_id=table.app_id,
            secret=secret,
            user_id=table.user_id or None,
            password=password,
            token=token,
            requests_per_second=table.requests_per_second,
            concurrency=table.concurrency,
            timeout=table.timeout,
            region=table.region,
            max_deletions=table.max_deletions,
            ca_file=self._ca_file(label, table.ca_file),
            voicemails=VoicemailJob(
                table.voicemails.enabled,
                table.voicemails.every,
                table.voicemails.since,
                table.voicemails.window,
                table.voicemails.overlap,
            ),
            contacts=Job(table.contacts.enabled, table.contacts.every),
            user_contacts=Job(table.user_contacts.enabled, table.user_contacts.every),
            push=PushJob(table.push.enabled, table.push.every, table.push.deletes, table.push.on_conflict),
        )

    def smartflo(self, name: str, raw: object) -> SmartfloAccount:
        label = f"smartflo.{name}"
        table, bad = schema.read_table(schema.SmartfloTable, label, raw, self._problems)
        password, bad = self._secret("smartflo", name, "password", table.password, table.password_file, bad)
        token, bad = self._secret("smartflo", name, "token", table.token, table.token_file, bad)
        needing = ["contacts"] if _on("contacts", table.contacts.enabled, bad) else []
        self._check_login("smartflo", name, "email", table.email or None, password, token, needing, bad)
        return SmartfloAccount(
            name=name,
            label=label,
            base_url=table.base_url,
            token=token,
            email=table.email or None,
            password=password,
            requests_per_second=table.requests_per_second,
            concurrency=table.concurrency,
            timeout=table.timeout,
            region=table.region,
            max_deletions=table.max_deletions,
            ca_file=self._ca_file(label, table.ca_file),
            updated_after_format=table.updated_after_format,
            contacts=SmartfloJob(
                table.contacts.enabled,
                table.contacts.every,
                table.contacts.overlap,
                table.contacts.full_every,
            ),
        )

    def _secret(
        self, kind: str, name: str, key: str, value: str | None, file: str | None, bad: _Bad
    ) -> tuple[Secret | None, _Bad]:
        if self._credentials is Credentials.UNUSED:
            return None, bad | {key}
        before = len(self._problems)
        secret = self.sources.find(kind, name, key, file=file, value=value, problems=self._problems)
        # What was given wrongly is not missing as well.
        wrong = len(self._problems) > before or f"{key}_file" in bad
        return secret, bad | {key} if wrong or self._credentials is Credentials.LOCATED else bad

    def _check_login(
        self,
        kind: str,
        name: str,
        user_key: str,
        user: str | None,
        password: Secret | None,
        token: Secret | None,
        needing: list[str],
        bad: _Bad,
    ) -> None:
        if not needing or token or "token" in bad:
            return
        label = f"{kind}.{name}"
        verb = "needs" if needing == ["push"] else "need"
        either = f"{_and(needing)} {verb} a login or a token"
        give_user = f'write {user_key} = "..." below [{label}]'
        off = f"or {_switch_off(label, needing)}"
        no_user = user is None and user_key not in bad
        no_password = password is None and "password" not in bad
        if no_user and no_password:
            self._problems.append(
                f"{label}.{user_key} and {label}.password are missing, and so is {label}.token; {either}. "
                f"For a login, {give_user}, and for its password {ways(kind, name, 'password')}; "
                f"for a ready token do the same under the name token (${variable(kind, name, 'token')}); {off}."
            )
        elif no_user:
            self._problems.append(f"{label}.{user_key} is missing; {either}: {give_user}; {off}.")
        elif no_password:
            self._problems.append(
                f"{label}.password is missing; {either}: {ways(kind, name, 'password')}; {off}."
            )

    def _ca_file(self, label: str, value: str | None) -> Path | None:
        if value is None:
            return None
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


def _on(job: str, enabled: bool, bad: _Bad) -> bool:
    return enabled and job not in bad and f"{job}.enabled" not in bad


def _switch_off(label: str, jobs: list[str]) -> str:
    lines = _and([f"{job} = {{ enabled = false }}" for job in jobs])
    return f"switch {'them' if len(jobs) > 1 else 'that job'} off with {lines} below [{label}]"


def _and(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
