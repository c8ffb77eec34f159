"""A Singer tap for the directory, after the SDK's template."""

from __future__ import annotations

import json
import sys
from typing import Any

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th

from benchmarks.usage import whole_process

FIELDS = ("contact_id", "phone_no", "first_name", "last_name", "email_id", "company", "job_title")


class Contacts(RESTStream[str]):
    """`/v3/contact/get`, by its cursor."""

    name = "contacts"
    path = "/v3/contact/get"
    primary_keys = ("contact_id",)
    records_jsonpath = "$.contacts[*]"
    next_page_token_jsonpath = "$.page_state"
    schema = th.PropertiesList(*(th.Property(name, th.StringType) for name in FIELDS)).to_dict()

    def __init__(self, tap: Tap) -> None:
        super().__init__(tap, http_method="POST")

    @property
    def url_base(self) -> str:
        """The base URL."""
        return str(self.config["url"])

    def prepare_request_payload(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        """The body of a request."""
        del context
        return {"token": "none", "limit": 100, "page_state": next_page_token or ""}


class TapContacts(Tap):
    """A tap with one stream."""

    name = "tap-contacts"
    config_jsonschema = th.PropertiesList(th.Property("url", th.StringType)).to_dict()

    def discover_streams(self) -> list[Any]:
        """The stream."""
        return [Contacts(self)]


if __name__ == "__main__":
    TapContacts(config={"url": sys.argv[1]}).sync_all()
    sys.stdout.flush()
    sys.stderr.write(json.dumps(whole_process()) + "\n")
