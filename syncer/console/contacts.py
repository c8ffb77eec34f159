"""`/contacts` and `/who`: the list of contacts, and everything that is known about one person."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from syncer.console.contact_forms import LABELS, load_contact
from syncer.console.visit import NotFoundError, PageRoute, Visit
from syncer.core.normalise import typed_e164
from syncer.core.wording import upper_first
from syncer.store.db.read_only import Reader
from syncer.store.read import page_queries, people, status_queries, story
from syncer.store.read.people import Person
from syncer.store.read.story_words import sentence
from syncer.sync import registry

#: How many events and voicemails of a person are shown.
EVENTS, VOICEMAILS = 200, 20


async def show_list(visit: Visit) -> Response:
    """Contacts of any provider, by name; `q` searches."""
    search, number = visit.query("q"), visit.page_number()

    def read(conn: Reader) -> dict[str, Any]:
        return {"slice": page_queries.list_contacts(conn, search, number)}

    return await visit.show("contacts.html", read, q=search)


async def show(visit: Visit) -> Response:
    """One contact of TeleCMI's directory, and everything that is known about the person."""
    row_id = visit.row_id()

    def read(conn: Reader) -> dict[str, Any]:
        row = load_contact(conn, row_id)
        changes = status_queries.list_changes(conn, contact=row_id)
        return {"contact": row, "changes": changes} | _known(conn, people.of_contact(row))

    return await visit.show("person.html", read, labels=LABELS)


async def who(visit: Visit) -> Response:
    """Everything that is known about a phone number."""
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

    return await visit.show("person.html", read, labels=LABELS)


def _known(conn: Reader, person: Person) -> dict[str, Any]:
    found = story.load(conn, person, registry.jobs_by_table())
    number = person.number
    linked = (
        one.row for one in found.sources if one.table == "telecmi_contacts" and one.row != person.contact
    )
    return {
        "story": found,
        "events": [event | {"text": upper_first(sentence(event))} for event in found.events[::-1][:EVENTS]],
        "more_events": max(0, len(found.events) - EVENTS),
        "voicemails": page_queries.voicemails_of(conn, number, VOICEMAILS) if number else [],
        "linked": next(linked, None),
    }


PAGES = (
    PageRoute("GET", "/contacts", show_list),
    PageRoute("GET", "/contacts/{id}", show),
    PageRoute("GET", "/who/{number}", who),
)
