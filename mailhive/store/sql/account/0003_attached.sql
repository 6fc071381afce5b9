-- 3: what is attached to records: names to find them by, and blobs that they refer to.

CREATE TABLE record_key (
    type TEXT NOT NULL,
    key TEXT NOT NULL,
    record INTEGER NOT NULL,
    PRIMARY KEY (type, key, record)
) WITHOUT ROWID;
CREATE INDEX record_key_record ON record_key (record);

CREATE TABLE record_blob (
    blob TEXT NOT NULL,
    record INTEGER NOT NULL,
    PRIMARY KEY (blob, record)
) WITHOUT ROWID;
CREATE INDEX record_blob_record ON record_blob (record);
