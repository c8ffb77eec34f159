"""The daemon: all jobs on their schedule, until a signal ends it."""
