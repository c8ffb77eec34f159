"""A local mirror of TeleCMI and Smartflo in SQLite, kept in step both ways.

This file holds the version and nothing else, so that importing the package costs nothing.
"""

__version__ = "0.1.0"
