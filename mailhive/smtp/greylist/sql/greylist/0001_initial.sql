-- 1: who has come, as digests of network, sender and recipient, and whom they belong to.

CREATE TABLE triplet (
    digest BLOB PRIMARY KEY,
    first_at INTEGER NOT NULL,     -- seconds since 1970
    known_at INTEGER,              -- when it was let in last; NULL: not yet
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX triplet_expires ON triplet (expires_at);

CREATE TABLE network (
    digest BLOB PRIMARY KEY,
    let_in INTEGER NOT NULL,       -- triplets
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX network_expires ON network (expires_at);
