-- 1: push subscriptions, and how far each has been told.

CREATE TABLE subscription (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,            -- the name of a principal
    credential TEXT NOT NULL,       -- what it was made with
    device TEXT NOT NULL,           -- deviceClientId
    url TEXT NOT NULL,
    p256dh BLOB,
    auth BLOB,
    code TEXT NOT NULL,             -- verificationCode
    state TEXT NOT NULL,            -- new, sent (the code is), verified
    expires INTEGER NOT NULL,       -- milliseconds, as all times
    types TEXT,                     -- a JSON array; NULL for all
    signer TEXT NOT NULL,           -- the application server key it was made for
    position TEXT NOT NULL,         -- the push state that the subscriber has
    due_at INTEGER NOT NULL,        -- nothing is sent before
    interval INTEGER NOT NULL,      -- the least time from one push to the next
    failures INTEGER NOT NULL,      -- in a row
    succeeded_at INTEGER,
    outcome TEXT                    -- of the last attempt
) WITHOUT ROWID;

CREATE INDEX subscription_owner ON subscription (owner, credential);
