"""Servers that the benchmark fills, starts and stops."""
