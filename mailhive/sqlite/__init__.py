"""SQLite files as the embedded providers use them: connections and numbered schemas."""
