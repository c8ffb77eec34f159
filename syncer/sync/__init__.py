"""One job, run once: fetch, decide, apply; and what all jobs of a pass share."""
