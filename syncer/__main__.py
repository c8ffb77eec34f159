"""Lets `python -m syncer` be the command `syncer`; what it does is left to `syncer.cli`."""

from __future__ import annotations

if __name__ == "__main__":
    from syncer.cli.main import main

    main()
