"""Runnable comparisons: `make bench`. They print figures; no test asserts any of them."""
