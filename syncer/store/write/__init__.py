"""Statements that change rows, one module per group of tables."""
