"""The configuration file: its settings as typed classes, and how they are read."""
