"""A module a kind of row: each row is a function that takes the Bench and yields Lines."""
