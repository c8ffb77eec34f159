"""Benchmarks, run by `make bench`. They print figures, and no test checks speed."""
