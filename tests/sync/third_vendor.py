"""A third vendor, as an add-on would declare it: a table, a parser, a fetch function. Run as `syncer` with it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Index, UniqueConstraint

from syncer.cli.main import run
from syncer.config import Account, Job
from syncer.config.keys import key, secret, table
from syncer.config.units import parse_base_url
from syncer.core.listing import Walk
from syncer.core.model import Page, Paging, Position, Row
from syncer.core.normalise import to_e164
from syncer.core.secret import Secret
from syncer.remote import rows as read
from syncer.remote.client import ApiClient
from syncer.remote.response_errors import raise_for_status
from syncer.remote.rows import Announce
from syncer.remote.wire import Call, Json
from syncer.store.db.column_types import id_, mirror_columns, text_
from syncer.store.db.column_types import table as database_table
from syncer.store.db.mirrors import Mirror, add_mirror
from syncer.sync import pull, registry
from syncer.sync.run import Run
from syncer.sync.vendors import Sample, Source

LEADS = add_mirror(Mirror("acme_leads", "acme", "lead_id", "name", "lead", number="phone"))
TABLE = database_table(
    LEADS.name,
    id_(),
    text_("account", null=False),
    text_("lead_id", null=False),
    text_("name"),
    text_("phone"),
    text_("phone_e164"),
    *mirror_columns(),
    UniqueConstraint("account", "lead_id"),
    Index("acme_leads_phone", "phone_e164"),
)


@dataclass(frozen=True)
class Leads(Job):
    """`leads = {...}` of an Acme account."""

    needs = ("api_key",)


@dataclass(frozen=True)
class AcmeAccount(Account):
    """`[acme.NAME]`"""

    kind = "acme"
    login = "email"

    base_url: str = key(parse_base_url, "https://api.acme.example")
    api_key: Secret | None = secret()
    leads: Leads = table(Leads(every=timedelta(minutes=20)))


@dataclass
class Acme:
    """Acme's client."""

    api: ApiClient
    account: AcmeAccount
    header: Mapping[str, str] = field(repr=False)

    async def fetch_page(self, page: int) -> Page:
        call = Call("/leads", "GET", "/leads", params={"page": str(page)}, headers=self.header)
        answer = await self.api.call(
            call, lambda call, answer: raise_for_status(self.account.label, call, answer)
        )
        body: Any = answer.body
        return read.read_page(body["leads"], self._row, total=body["total"], server_date=answer.server_date)

    def _row(self, row: Mapping[str, Json], raw: str) -> Row:
        phone = read.text(row.get("phone"))
        number = to_e164(phone, self.account.region)
        return Row(
            read.identity(row, "id"),
            {"name": read.text(row.get("name")), "phone": phone, "phone_e164": number},
            raw,
        )


def connect(api: ApiClient, account: AcmeAccount, tokens: object) -> Acme:
    assert account.api_key is not None
    return Acme(api, account, {"X-Key": account.api_key.reveal()})


async def pull_leads(run: Run, source: Source[AcmeAccount, Acme]) -> None:
    async def fetch(position: Position, _: Announce) -> Page:
        assert isinstance(position, int)
        return await source.client.fetch_page(position)

    walk = Walk(Paging.NUMBERED, has_total=True, offset=pull.known_offset(run, LEADS.name), asked=2)
    reconciler = pull.new_reconciler(run, LEADS)
    await pull.pull(run, reconciler, walk, fetch, max_deletions=source.account.max_deletions)


async def first_page(source: Source[AcmeAccount, Acme], sample: Sample, now: object) -> Page:
    return await source.client.fetch_page(1)


registry.add_vendor(AcmeAccount, connect)
registry.add_resource(
    registry.Resource(
        "acme-leads", "acme", "leads", pull_leads, samples=(("leads", first_page),), tables=(LEADS.name,)
    )
)

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
