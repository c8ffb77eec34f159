"""One job, run once: fetch, decide, apply. Also what all jobs of a pass share."""
