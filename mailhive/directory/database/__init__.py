"""A directory in an SQL database that belongs to somebody else (`type = "sql"`)."""
