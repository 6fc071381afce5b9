"""The `mailhive` command: one module per subcommand."""
