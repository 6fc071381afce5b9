-- 2: notes of what was done and is not to be done again for a while.

-- `kind` says what was done, `key` to whom; times are milliseconds since 1970.
CREATE TABLE note (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX note_until ON note (kind, until);
