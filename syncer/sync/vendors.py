"""The clients of accounts, created from their tables in the config."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

from syncer.config import SmartfloAccount, TelecmiAccount
from syncer.config.schema import Named
from syncer.core.secret import Secret
from syncer.remote.client import ApiClient
from syncer.remote.smartflo import Smartflo
from syncer.remote.telecmi import Telecmi
from syncer.remote.tokens import TokenStore

A = TypeVar("A", bound=Named)
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Source(Generic[A, C]):
    """An account or a target, with the client that reaches it."""

    account: A
    api: ApiClient | None  #: None: it does not use HTTP
    client: C
    close: Callable[[], None] | None = None  #: for a client with a connection of its own

    def deadline(self, seconds: float) -> AbstractAsyncContextManager[None]:
        """Within this context, all calls together may take this many seconds."""
        return contextlib.nullcontext() if self.api is None else self.api.deadline(seconds)

    def set_patience(self, seconds: float) -> None:
        """Set how long failing calls may delay runs in total, in seconds."""
        if self.api is not None:
            self.api.patience = seconds

    async def aclose(self) -> None:
        """Close its connections."""
        if self.api is not None:
            await self.api.aclose()
        if self.close is not None:
            self.close()


TelecmiSource: TypeAlias = Source[TelecmiAccount, Telecmi]
SmartfloSource: TypeAlias = Source[SmartfloAccount, Smartflo]


class Sample(Enum):
    """How much of a list `doctor` requests."""

    LITTLE = "little"  #: one row, if that can be requested
    PAGE = "page"  #: a page, as a sync reads it
    ALL = "all"  #: the first page of everything that the mirror should have


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
    )


def _reveal(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None
