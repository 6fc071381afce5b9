-- 1: messages on their way out, and their recipients.

CREATE TABLE message (
    id TEXT PRIMARY KEY,
    account TEXT,                   -- whose EmailSubmission tells of it
    mail_from TEXT NOT NULL,
    parameters TEXT NOT NULL,       -- of MAIL, a JSON object
    blob TEXT NOT NULL,
    submitted_at INTEGER NOT NULL,  -- milliseconds, as all times
    state TEXT NOT NULL,            -- new (and held), held, ready
    attempts INTEGER NOT NULL,
    due_at INTEGER,                 -- NULL while there is nothing to attempt
    untold INTEGER NOT NULL         -- 1 while the EmailSubmission does not say the newest
) WITHOUT ROWID;

CREATE INDEX message_due ON message (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX message_blob ON message (blob);

CREATE TABLE recipient (
    message TEXT NOT NULL,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    delivered TEXT NOT NULL,        -- queued, yes, no, unknown
    reply TEXT NOT NULL,
    PRIMARY KEY (message, position)
) WITHOUT ROWID;
