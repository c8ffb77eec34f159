"""The clients of an account at each vendor, made from its table of the config."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

from syncer.config import Account, SmartfloAccount, TelecmiAccount
from syncer.core.secret import Secret
from syncer.remote.client import ApiClient
from syncer.remote.smartflo import Smartflo
from syncer.remote.telecmi import Telecmi
from syncer.remote.tokens import TokenStore

A = TypeVar("A", bound=Account)
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Source(Generic[A, C]):
    """An account, ready to be asked."""

    account: A
    api: ApiClient
    client: C


TelecmiSource: TypeAlias = Source[TelecmiAccount, Telecmi]
SmartfloSource: TypeAlias = Source[SmartfloAccount, Smartflo]


class Sample(Enum):
    """How much of a list `doctor` asks for."""

    LITTLE = "little"  #: one row, where that can be asked for
    PAGE = "page"  #: a page as a sync reads it
    ALL = "all"  #: the first page of everything that the mirror is to hold


def connect_telecmi(api: ApiClient, account: TelecmiAccount, tokens: TokenStore) -> Telecmi:
    """The client of an account at TeleCMI."""
    return Telecmi(
        api,
        app_id=account.app_id,
        secret=_reveal(account.secret),
        user_id=account.user_id,
        password=_reveal(account.password),
        token=_reveal(account.token),
        region=account.region,
        tokens=tokens,
        source=account.label,
    )


def connect_smartflo(api: ApiClient, account: SmartfloAccount, tokens: TokenStore) -> Smartflo:
    """The client of an account at Smartflo."""
    return Smartflo(
        api,
        email=account.email,
        password=_reveal(account.password),
        token=_reveal(account.token),
        region=account.region,
        tokens=tokens,
        source=account.label,
    )


def _reveal(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None
