"""Several processes as one server: how they speak, and who keeps them running."""
