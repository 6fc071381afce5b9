-- 1: the MTA-STS policies of domains, as they were last fetched.

CREATE TABLE policy (
    domain TEXT PRIMARY KEY,
    record TEXT NOT NULL,          -- the id of the TXT record it belongs to
    text TEXT NOT NULL,
    expires_at INTEGER NOT NULL    -- seconds since 1970
) WITHOUT ROWID;
