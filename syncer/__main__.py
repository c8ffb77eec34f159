"""`python -m syncer` runs the command `syncer`."""

from __future__ import annotations

if __name__ == "__main__":
    from syncer.cli.main import main

    main()
