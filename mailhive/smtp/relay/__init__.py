"""Mail to other servers: finding them, connections to them, and what to trust them with."""
