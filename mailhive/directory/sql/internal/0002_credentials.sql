-- 2: who may log in at all, and app passwords and tokens beside the password.

ALTER TABLE principal ADD COLUMN enabled INTEGER NOT NULL DEFAULT 1;

CREATE TABLE credential (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never that of another one
    principal TEXT NOT NULL REFERENCES principal ON DELETE CASCADE,
    kind TEXT NOT NULL,  -- app-password or token
    label TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,  -- the digest of an app password, the jti of a token
    services TEXT NOT NULL,  -- jmap, smtp and imap, separated by spaces
    created INTEGER NOT NULL,  -- seconds, as the others
    expires INTEGER,
    last_used INTEGER,
    UNIQUE (principal, kind, label)
);
