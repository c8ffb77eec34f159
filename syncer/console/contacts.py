"""`/contacts` and `/who`: finding people, and everything that is known of one."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from syncer.console.contact_forms import LABELS
from syncer.console.visit import NotFoundError, PageRoute, Visit
from syncer.core.model import FIELDS
from syncer.core.normalise import typed_e164
from syncer.store.db.read_only import Reader, Record
from syncer.store.read import contact_queries, page_queries, people, status_queries, story
from syncer.store.read.people import Person
from syncer.store.read.story_words import sentence
from syncer.sync import registry

#: Events and voicemails of a person that are shown; the newest.
EVENTS, VOICEMAILS = 200, 20


async def show_list(visit: Visit) -> Response:
    """Contacts of any provider, by name; `q` searches."""
    search, number = visit.query("q"), visit.page_number()

    def read(conn: Reader) -> dict[str, Any]:
        return {"slice": page_queries.list_contacts(conn, search, number)}

    return await visit.show("contacts.html", read, q=search, turned=visit.turned)


async def show(visit: Visit) -> Response:
    """One contact of TeleCMI's directory, with all that is known of the person."""
    row_id = visit.row_id()

    def read(conn: Reader) -> dict[str, Any]:
        row = contact_queries.load_contact(conn, row_id)
        if row is None:
            raise NotFoundError("There is no contact with this number.")
        name = f"{row['first_name'] or ''} {row['last_name'] or ''}".strip() or None
        person = Person(row["phone_e164"], row_id, "telecmi_contacts", row_id, row["account"], name)
        changes = status_queries.list_changes(conn, contact=row_id)
        return {"contact": row, "changes": changes} | _known(conn, person)

    return await visit.show("person.html", read, labels=LABELS, fields=FIELDS)


async def who(visit: Visit) -> Response:
    """All that is known of a number."""
    number = typed_e164(str(visit.request.path_params["number"]), visit.settings.regions)
    if number is None:
        raise NotFoundError("This cannot be read as a phone number.")

    def read(conn: Reader) -> dict[str, Any]:
        telecmi = {one.name: one.region for one in visit.settings.telecmi}
        smartflo = [one.name for one in visit.settings.accounts if one.kind == "smartflo"]
        found = people.find(conn, number, telecmi, smartflo, visit.settings.regions)
        if not found:
            raise NotFoundError("Nothing is known of this number.")
        return {"contact": None, "changes": []} | _known(conn, Person(number, None, "", None, None, None))

    return await visit.show("person.html", read, labels=LABELS, fields=FIELDS)


def _known(conn: Reader, person: Person) -> dict[str, Any]:
    jobs = {table: resource.job for resource in registry.RESOURCES for table in resource.tables}
    told = story.load(conn, person, jobs)
    events = [_event(one) for one in told.events[::-1][:EVENTS]]
    row: Record = {"story": told, "events": events, "more_events": max(0, len(told.events) - EVENTS)}
    number = person.number
    row["voicemails"] = page_queries.voicemails_of(conn, number, VOICEMAILS) if number else []
    row["linked"] = page_queries.contact_of(conn, number) if number else None
    return row


def _event(event: dict[str, Any]) -> dict[str, Any]:
    text = sentence(event)
    return {"at": event["at"], "kind": event["kind"], "text": f"{text[:1].upper()}{text[1:]}"}


PAGES = (
    PageRoute("GET", "/contacts", show_list),
    PageRoute("GET", "/contacts/{id}", show),
    PageRoute("GET", "/who/{number}", who),
)
