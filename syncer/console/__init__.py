"""The page for people, served by the daemon at the address of `[http]`: who called, and what to do about it."""
