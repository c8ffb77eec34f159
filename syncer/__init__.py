"""A local mirror of TeleCMI and Smartflo in SQLite, kept in step both ways.

This file has only the version, so importing the package is fast.
"""

__version__ = "0.1.0"
