-- 1: principals, their addresses, who belongs to what, and mail that is to be deleted.

-- A key is a name in the form in which names compare.
CREATE TABLE principal (
    key TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    description TEXT NOT NULL,
    secret TEXT,  -- a hash
    quota INTEGER,  -- octets
    members_may TEXT NOT NULL,
    mailboxes TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX principal_secret ON principal (key, secret) WHERE secret IS NOT NULL;

CREATE TABLE address (
    principal TEXT NOT NULL REFERENCES principal ON DELETE CASCADE,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,  -- as it was given
    canonical TEXT NOT NULL UNIQUE,
    domain TEXT NOT NULL,  -- of the canonical form
    PRIMARY KEY (principal, position)
) WITHOUT ROWID;

CREATE INDEX address_domain ON address (domain);

CREATE TABLE membership (
    member TEXT NOT NULL REFERENCES principal ON DELETE CASCADE,
    position INTEGER NOT NULL,
    belongs_to TEXT NOT NULL REFERENCES principal ON DELETE CASCADE,
    PRIMARY KEY (member, position)
) WITHOUT ROWID;

CREATE INDEX membership_of ON membership (belongs_to, member);

-- The accounts of removed principals that the daemon has to delete, by name.
CREATE TABLE removal (
    key TEXT PRIMARY KEY,
    name TEXT NOT NULL
) WITHOUT ROWID;
