"""The rows. Each is a function that takes the Bench and yields Lines."""
