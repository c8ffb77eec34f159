"""dlt: its REST source, merged by key into SQLite with its sqlalchemy destination."""

from __future__ import annotations

import json
import os
import sys

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"

import dlt
from dlt.sources.rest_api import rest_api_source

from benchmarks.usage import whole_process


def main(url: str, folder: str) -> None:
    """One run of a pipeline that is kept between runs."""
    source = rest_api_source(
        {
            "client": {"base_url": url},
            "resources": [
                {
                    "name": "contacts",
                    "primary_key": "contact_id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": "v3/contact/get",
                        "method": "POST",
                        "json": {"token": "none", "limit": 100},
                        "data_selector": "contacts",
                        "paginator": {
                            "type": "cursor",
                            "cursor_path": "page_state",
                            "cursor_body_path": "page_state",
                        },
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        "telecmi",
        pipelines_dir=f"{folder}/dlt",
        destination=dlt.destinations.sqlalchemy(f"sqlite:///{folder}/dlt.db"),
        dataset_name="main",
    )
    pipeline.run(source).raise_on_failed_jobs()
    with pipeline.sql_client() as client:
        rows = client.execute_sql("SELECT count(*) FROM contacts")[0][0]
    print(json.dumps({**whole_process(), "rows": rows}))


if __name__ == "__main__":
    main(*sys.argv[1:])
