-- 1: the names and ids of accounts.

-- The file of an account without a name is still to be removed.
CREATE TABLE account (
    id TEXT PRIMARY KEY,
    name TEXT UNIQUE
) WITHOUT ROWID;
