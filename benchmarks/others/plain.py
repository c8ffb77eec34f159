"""`requests` and `sqlite-utils`: a script written in an afternoon."""

from __future__ import annotations

import json
import sys

import requests
import sqlite_utils

from benchmarks.usage import whole_process


def main(url: str, folder: str) -> None:
    """Pull all pages, and upsert them by key."""
    table = sqlite_utils.Database(f"{folder}/plain.db")["contacts"]
    session, state = requests.Session(), ""
    while True:
        asked = {"token": "none", "limit": 100, "page_state": state}
        page = session.post(f"{url}/v3/contact/get", json=asked, timeout=30).json()
        table.upsert_all(page["contacts"], pk="contact_id")
        state = page["page_state"]
        if not state:
            break
    print(json.dumps({**whole_process(), "rows": table.count}))


if __name__ == "__main__":
    main(*sys.argv[1:])
