"""The seams of mailhive: what a provider promises to the rest of the daemon.

One module per role.  The docstring of an interface is its contract; beside each
lies a conformance suite in `mailhive.testing.conformance` that every
implementation runs.  A provider is found by name through an entry point
(`mailhive.registry`), so that other packages can bring their own.
"""
