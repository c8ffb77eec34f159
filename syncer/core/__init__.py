"""Decisions: pure functions over frozen data; no I/O, no clock, no randomness, no logging."""
