-- 1: messages, mailboxes, threads, records, the change log, uploads and the text index.
--
-- Every object carries `createdseq`, the modseq of its creation, and `modseq`, that of its
-- last change.  Lists of keywords and of mailboxes are joined by spaces, which neither can
-- contain.  Times are milliseconds since 1970.

-- The last numbers given out, running totals, and the number of the trash (0: none).
CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counter (name, value) VALUES
    ('modseq', 0), ('email', 0), ('thread', 0), ('record', 0),
    ('email_octets', 0), ('trash', 0);

-- `horizon`: changes since a lower state can no longer be told.
CREATE TABLE type_state (
    type TEXT PRIMARY KEY,
    modseq INTEGER NOT NULL,
    horizon INTEGER NOT NULL,
    tombstones INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE tombstone (
    type TEXT NOT NULL,
    seq INTEGER NOT NULL,
    createdseq INTEGER NOT NULL,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (type, seq)
) WITHOUT ROWID;

-- `number` is unique over all types; a Mailbox is known by it in the other tables.
-- `propseq`: the modseq of the last change of more than a Mailbox's counts.
CREATE TABLE record (
    number INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    createdseq INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    propseq INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (type, id)
);
CREATE INDEX record_created ON record (type, createdseq);
CREATE INDEX record_updated ON record (type, modseq) WHERE modseq > createdseq;
CREATE INDEX record_changed ON record (type, propseq) WHERE propseq > createdseq;

CREATE TABLE email (
    id INTEGER PRIMARY KEY,
    thread INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    createdseq INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    blob TEXT NOT NULL,
    mailboxes TEXT NOT NULL,
    keywords TEXT NOT NULL,
    summary BLOB NOT NULL
);
CREATE INDEX email_thread ON email (thread, received_at);
CREATE INDEX email_created ON email (createdseq);
CREATE INDEX email_updated ON email (modseq, createdseq) WHERE modseq > createdseq;
CREATE INDEX email_blob ON email (blob);

-- What is read only to show one message; `refs` are the keys of its rows in `reference`.
CREATE TABLE email_full (
    id INTEGER PRIMARY KEY,
    refs BLOB NOT NULL,
    headers BLOB NOT NULL,
    structure BLOB NOT NULL
);

-- What filters and sorts look at, narrow so that a scan is cheap.
CREATE TABLE email_sort (
    id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    sent_at INTEGER,
    sender TEXT NOT NULL,
    receiver TEXT NOT NULL,
    subject TEXT NOT NULL
);

-- The list view of each mailbox; mailbox 0 holds every email.
CREATE TABLE mbx (
    mailbox INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    email INTEGER NOT NULL,
    thread INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    PRIMARY KEY (mailbox, received_at DESC, email DESC)
) WITHOUT ROWID;

-- Keywords other than $seen, which nearly every email has.
CREATE TABLE keyword (
    keyword TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    email INTEGER NOT NULL,
    thread INTEGER NOT NULL,
    PRIMARY KEY (keyword, received_at DESC, email DESC)
) WITHOUT ROWID;

-- Digest of a message id and a thread subject, to the threads that hold them.
CREATE TABLE reference (
    key BLOB NOT NULL,
    thread INTEGER NOT NULL,
    email INTEGER NOT NULL,
    PRIMARY KEY (key, thread, email)
) WITHOUT ROWID;

-- `unread`: its unread emails but those in the trash alone; `trash_unread`: those in the trash.
CREATE TABLE thread (
    id INTEGER PRIMARY KEY,
    createdseq INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    emails INTEGER NOT NULL,
    unread INTEGER NOT NULL,
    trash_unread INTEGER NOT NULL
);
CREATE INDEX thread_created ON thread (createdseq);
CREATE INDEX thread_updated ON thread (modseq, createdseq) WHERE modseq > createdseq;

-- How many emails of a thread are in a mailbox.
CREATE TABLE thread_mailbox (
    thread INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    emails INTEGER NOT NULL,
    PRIMARY KEY (thread, mailbox)
) WITHOUT ROWID;

-- RFC 8621 §2 counts.  Mailbox 0 counts all emails and threads, read or not.
CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY,
    total_emails INTEGER NOT NULL DEFAULT 0,
    unread_emails INTEGER NOT NULL DEFAULT 0,
    total_threads INTEGER NOT NULL DEFAULT 0,
    unread_threads INTEGER NOT NULL DEFAULT 0
);
INSERT INTO mailbox (id) VALUES (0);

-- `counted`: its octets, until an email refers to the blob.
CREATE TABLE upload (
    blob TEXT NOT NULL,
    user TEXT NOT NULL,
    type TEXT NOT NULL,
    size INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (blob, user)
) WITHOUT ROWID;
CREATE INDEX upload_at ON upload (at);
CREATE INDEX upload_counted ON upload (user, at) WHERE counted > 0;

-- The sum of `counted`, by user.
CREATE TABLE uploader (
    user TEXT PRIMARY KEY,
    octets INTEGER NOT NULL
) WITHOUT ROWID;

-- Folded text (mailhive.store.search) is made of tokens of letters and digits, so that
-- the plainest tokenizer finds exactly these.
CREATE VIRTUAL TABLE fts USING fts5 (
    sender, receiver, cc, bcc, subject, body, attachments,
    content = '', contentless_delete = 1, tokenize = 'ascii'
);

-- Folded text of emails that are not in `fts` yet.
CREATE TABLE fts_pending (
    email INTEGER PRIMARY KEY,
    sender TEXT NOT NULL,
    receiver TEXT NOT NULL,
    cc TEXT NOT NULL,
    bcc TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    attachments TEXT NOT NULL
);
