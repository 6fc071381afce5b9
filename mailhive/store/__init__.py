"""Mail store providers: accounts, their objects and what changed in them."""
