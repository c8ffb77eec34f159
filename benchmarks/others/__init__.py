"""What one would use instead: each a script that pulls the directory once into SQLite. Run in `.venv-bench`."""
