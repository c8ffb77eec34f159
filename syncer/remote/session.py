"""Which token an account's calls go out with: when another is needed, and when a refusal is not about it.

How a login looks, and what its answer says, is left to the adapters; where tokens are kept, to `tokens.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from syncer.errors import AuthError, PermissionDeniedError, RejectedError
from syncer.remote.client import ApiClient
from syncer.remote.tokens import Token, TokenStore
from syncer.remote.wire import Answer

#: Makes one call with a token; raises AuthError where that is refused.
Send = Callable[[str], Awaitable[Answer]]


class Session:
    """The token of one account.

    `given` is a token of the config, used first; `log_in` gets another with `credentials` (address, name,
    password), whose `keys` are named to people. A kept token is not used for its last `margin` seconds.
    """

    def __init__(
        self,
        api: ApiClient,
        store: TokenStore,
        *,
        source: str,
        given: str | None,
        credentials: tuple[str, str, str],
        keys: str,
        margin: float,
        log_in: Callable[[str], Awaitable[Token]],
    ) -> None:
        self.credentials = credentials
        self.days_left: int | None = None  #: until the password expires, where a login said so
        self._api = api
        self._store = store
        self._source = source
        self._given = given
        self._given_refused = False
        self._keys = keys
        self._margin = margin
        self._log_in = log_in
        self._logging_in = asyncio.Lock()

    async def call(self, name: str, send: Send, prove: Send, *, of_record: int | None = None) -> Answer:
        """Make a call; where the token is refused, with another one, and once with that of a fresh login.

        A write may be sent again here: refused credentials mean that it was not applied. Where `prove`,
        another call, accepts the token and this one refuses it twice, that is about the call:
        PermissionDeniedError, and no login, since repeated ones lock an account out. So is, at once, a
        refusal with the code `of_record`.
        """
        token, is_fresh = await self._token(name)
        proven = ""
        while True:
            try:
                return await send(token)
            except AuthError as caught:
                refusal = caught
            if token != proven and await self._is_accepted(token, prove):
                proven = token
                if refusal.code is None or refusal.code != of_record:
                    continue  # a vendor may be wrong about a token once
            if token == proven:
                code = f" ({refusal.code})" if refusal.code else ""
                text = (
                    f"the token lacks the permission for this call{code}: another call accepts it; ask the vendor "
                    "to allow this one"
                )
                raise PermissionDeniedError(self._source, name, text, code=refusal.code)
            if is_fresh:
                self._store.clear(self._source, refused=token)
                raise AuthError(self._source, name, f"{refusal.text}, also right after a fresh login")
            token, is_fresh = await self._another(name, token)

    async def login(self, name: str, *, force: bool) -> None:
        """Make sure of a token; `force` logs in again even if one is there."""
        if not force:
            await self._token(name)
            return
        kept = self._kept()
        await self._another(name, kept.text if kept else None)

    def _kept(self) -> Token | None:
        return self._store.get(self._source, *self.credentials)

    def _usable(self, kept: Token | None) -> bool:
        return kept is not None and kept.usable(self._api.now(), self._margin)

    async def _token(self, name: str) -> tuple[str, bool]:
        """The token to begin with, and whether it comes from a login made just now."""
        if self._given and not self._given_refused:
            return self._given, False
        kept = self._kept()
        if kept is not None and self._usable(kept):
            self.days_left = kept.days_left
            return kept.text, False
        return await self._another(name, kept.text if kept else None)

    async def _another(self, name: str, refused: str | None) -> tuple[str, bool]:
        """A token other than `refused`: one that was got elsewhere meanwhile, else of a login (True)."""
        if not all(self.credentials):
            text = "the token was refused" if refused else "there is no token"
            text += f", and there is no login to get another: set a valid token, or {self._keys}"
            raise AuthError(self._source, name, text)
        async with self._logging_in, self._store.turn(self._source, self._api.sleep):
            kept = self._kept()
            is_fresh = kept is None or kept.text == refused or not self._usable(kept)
            if kept is None or is_fresh:
                kept = await self._log_in(name)
                self._store.put(self._source, kept, *self.credentials)
        # Without a login the given token is asked with again: a vendor may have been wrong about it.
        self._given_refused = self._given_refused or refused == self._given
        self.days_left = kept.days_left
        return kept.text, is_fresh

    async def _is_accepted(self, token: str, prove: Send) -> bool:
        try:
            await prove(token)
        except AuthError:
            return False
        except RejectedError:
            return True  # it was about the request, so that the token was good
        return True
