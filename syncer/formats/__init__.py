"""Reads and writes contacts as CSV, XLSX and vCard, and writes them as JSON. `core` interprets what was read."""
