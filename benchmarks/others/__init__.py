"""Other tools: scripts that pull the directory into SQLite once. They run in `.venv-bench`."""
