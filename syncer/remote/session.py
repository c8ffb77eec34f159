"""Decides which token an account's calls use: when to get another one, and when a refusal is not about the token.

The adapters log in, and `tokens.py` stores tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from syncer.errors import AuthError, PermissionDeniedError, RejectedError
from syncer.remote.client import ApiClient
from syncer.remote.tokens import Token, TokenStore
from syncer.remote.wire import Answer

#: Makes one call with a token. Raises AuthError if it is refused.
Send = Callable[[str], Awaitable[Answer]]


class Session:
    """The token of one account.

    `given` is the config's token, which is used first. `log_in` gets another with `credentials` (address, name,
    password); messages call them `keys`. A stored token is not used for its last `margin` seconds.
    """

    def __init__(
        self,
        api: ApiClient,
        store: TokenStore,
        *,
        given: str | None,
        credentials: tuple[str, str, str],
        keys: str,
        margin: float,
        log_in: Callable[[str], Awaitable[Token]],
    ) -> None:
        self.credentials = credentials
        self.days_left: int | None = None  #: until the password expires, if a login said so
        self._api = api
        self._store = store
        self._source = api.source
        self._given = given
        self._given_refused = False
        self._keys = keys
        self._margin = margin
        self._log_in = log_in
        self._logging_in = asyncio.Lock()
        self._refused_login: AuthError | None = None  #: the last one

    async def call(self, name: str, send: Send, prove: Send, *, of_record: int | None = None) -> Answer:
        """Make a call. If the token is refused, try another one, and once that of a new login.

        This may repeat a write: refused credentials mean that it was not applied. If another call, `prove`, accepts
        the token and this one refuses it twice, the refusal is about the call. Then PermissionDeniedError is raised
        without a login, because repeated logins lock an account out. A refusal with the code `of_record` is about the
        call the first time. A login that was refused meanwhile, for another call, is not repeated.
        """
        before = self._refused_login
        token, is_fresh = await self._token(name, before)
        proven = ""
        while True:
            try:
                return await send(token)
            except AuthError as caught:
                refusal = caught
            if token != proven and await self._is_accepted(token, prove):
                proven = token
                if refusal.code is None or refusal.code != of_record:
                    continue  # the vendor may refuse a good token once
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
            token, is_fresh = await self._another(name, token, before)

    async def login(self, name: str) -> None:
        """Log in, even if there is a good token."""
        kept = self._kept()
        await self._another(name, kept.text if kept else None, self._refused_login)

    def _kept(self) -> Token | None:
        return self._store.get(self._source, *self.credentials)

    def _usable(self, kept: Token | None) -> bool:
        return kept is not None and kept.usable(self._api.now(), self._margin)

    async def _token(self, name: str, before: AuthError | None) -> tuple[str, bool]:
        """The token to start with, and whether it is from a login just now."""
        if self._given and not self._given_refused:
            return self._given, False
        kept = self._kept()
        if kept is not None and self._usable(kept):
            self.days_left = kept.days_left
            return kept.text, False
        return await self._another(name, kept.text if kept else None, before)

    async def _another(self, name: str, refused: str | None, before: AuthError | None) -> tuple[str, bool]:
        """A token other than `refused`: one that another process has stored, or one of a new login (True).

        `before` is the last refused login when the call began: a newer one counts for this call, too.
        """
        if not all(self.credentials):
            text = "the token was refused" if refused else "there is no token"
            text += f", and there is no login to get another: set a valid token, or {self._keys}"
            raise AuthError(self._source, name, text)
        async with self._logging_in, self._store.turn(self._source, self._api.sleep):
            kept = self._kept()
            is_fresh = kept is None or kept.text == refused or not self._usable(kept)
            if kept is None or is_fresh:
                if self._refused_login is not None and self._refused_login is not before:
                    raise self._refused_login
                try:
                    kept = await self._log_in(name)
                except AuthError as refusal:
                    self._refused_login = refusal
                    raise
                self._store.put(self._source, kept, *self.credentials)
        # Without a login, the config's token is tried again: the vendor may have refused it by mistake.
        self._given_refused = self._given_refused or refused == self._given
        self.days_left = kept.days_left
        return kept.text, is_fresh

    async def _is_accepted(self, token: str, prove: Send) -> bool:
        try:
            await prove(token)
        except AuthError:
            return False
        except RejectedError:
            return True  # the refusal was about the request, so the token is good
        return True
