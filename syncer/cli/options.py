"""Options and argument types that several commands share, and what they select."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from syncer import files
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.cli.app import App
    from syncer.config import Account, Settings, TelecmiAccount
    from syncer.config.schema import Named

T = TypeVar("T", bound="Named")

#: The largest integer of SQLite.
LARGEST = 2**63 - 1


def example(*lines: str) -> str:
    """The examples at the end of a command's help."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


class Words(click.ParamType[str]):
    """Text from the command line that can be stored: no line breaks, no control characters, UTF-8."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, trimmed."""
        text = str(value).strip()
        if any("\ud800" <= sign <= "\udfff" for sign in text):
            self.fail("is not UTF-8 text", param, ctx)
        if any(unicodedata.category(sign) == "Cc" for sign in text):
            self.fail("has a line break or a control character in it", param, ctx)
        return text


class Number(int):
    """An integer. One that SQLite cannot store is the nearest that it can there: no row has that id either."""

    def __conform__(self, protocol: object) -> int:
        """What SQLite gets."""
        return max(-LARGEST, min(int(self), LARGEST))


class Integer(click.IntRange):
    """A `Number` within bounds."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The integer."""
        return Number(super().convert(value, param, ctx))


class File(click.ParamType[Path]):
    """A path, with `~` as the home folder: shells do not expand it in `--config=~/syncer.toml` or in quotes."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The expanded path."""
        try:
            return files.expand(value)
        except OSError as error:
            self.fail(f"{value}: {error.strerror}", param, ctx)


WORDS, FILE = Words(), File()

json_option = click.option("--json", "as_json", is_flag=True, help="For programs: JSON on stdout.")
account_option = click.option(
    "--account", metavar="A", type=WORDS, help="An account's name (main), or with its vendor (telecmi.main)."
)
provider_option = click.option(
    "--provider",
    type=click.Choice(["telecmi", "smartflo", "any"]),
    help="The contacts of this provider. TeleCMI by default.",
)
limit_option = click.option("--limit", metavar="N", type=Integer(min=1), help="At most N.")
number_argument = click.argument("number", metavar="N", type=Integer())
numbers_argument = click.argument("numbers", metavar="N...", nargs=-1, required=True, type=Integer())
phone_argument = click.argument("phone", type=WORDS)
who_argument = click.argument("who", type=WORDS)


def search_option(of: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--search TEXT` in somebody's name, company or number."""
    return click.option(
        "--search", metavar="TEXT", type=WORDS, help=f"Words or digits in the {of} name, company or number."
    )


def since_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--since SPAN`: read it with `since_stamp`."""
    text = f"{what} in the last 7d or 24h, or since a date (2026-01-31)."
    return click.option("--since", metavar="SPAN", type=WORDS, help=text)


def since_stamp(app: App, text: str) -> str:
    """What `--since` means, as UTC text."""
    from datetime import datetime

    from syncer.config.units import parse_since
    from syncer.core.normalise import utc_text

    try:
        since = parse_since(text)
        # A date begins at midnight here, where the times of all lists are local as well.
        at = since.replace(tzinfo=None).astimezone() if isinstance(since, datetime) else app.now() - since
        return utc_text(at)
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"--since {error}") from None


def list_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--format` and `--json`, as one argument `form`: `json`, `csv`, or None for people."""

    @functools.wraps(command)
    def with_form(*args: Any, as_json: bool, form: str | None, **more: Any) -> Any:
        return command(*args, form=form or ("json" if as_json else None), **more)

    choice = click.Choice(["csv", "json"])
    return click.option("--format", "form", type=choice, help="For programs: all columns, on stdout.")(
        json_option(with_form)
    )


def accounts_meant(settings: Settings, word: str | None) -> tuple[Account, ...]:
    """The accounts of any vendor that `--account` means. Wrong usage if there is none."""
    if word is None:
        return settings.accounts
    try:
        return settings.accounts_named(word)
    except UsageError as error:
        raise click.UsageError(str(error)) from None


def telecmi_accounts(settings: Settings, word: str | None) -> dict[str, TelecmiAccount]:
    """The TeleCMI accounts that `--account` means, by name. Wrong usage if there is none."""
    meant = accounts_meant(settings, word)
    found = {account.name: account for account in settings.telecmi if account in meant}
    if not found:
        where = f"--account {word} is not a TeleCMI account" if word else "the config has no TeleCMI account"
        raise click.UsageError(f"{where}; only TeleCMI contacts can be looked up and edited this way")
    return found


def listed_accounts(
    settings: Settings, provider: str | None, word: str | None
) -> tuple[str, list[str], list[str]]:
    """What `--provider` and `--account` mean: the provider, and the names of its TeleCMI and Smartflo accounts.

    The default is TeleCMI, unless `--account` means only Smartflo accounts.
    """
    meant = accounts_meant(settings, word)
    telecmi, smartflo = (
        [account.name for account in meant if account.kind == kind] for kind in ("telecmi", "smartflo")
    )
    if provider is None:
        provider = "telecmi" if telecmi or not smartflo else "smartflo"
    return provider, [] if provider == "smartflo" else telecmi, [] if provider == "telecmi" else smartflo


def named_targets(targets: Sequence[T], name: str | None, what: str, none: str) -> tuple[T, ...]:
    """The targets that a command means: one by its name or label, or all. UsageError, with `none` if there are none."""
    if not targets:
        raise UsageError(none)
    found = tuple(target for target in targets if name in (None, target.name, target.label))
    if not found:
        known = ", ".join(target.name for target in targets)
        raise UsageError(f"there is no {what} {name!r}; the config has {known}")
    return found


def typed_number(settings: Settings, phone: str) -> str:
    """A phone number of the command line in E.164. UsageError if it cannot be read."""
    from syncer.core.normalise import typed_e164

    number = typed_e164(phone, settings.regions)
    if number is None:
        raise UsageError(f"{phone!r} cannot be read as a phone number: write it with its country code")
    return number
