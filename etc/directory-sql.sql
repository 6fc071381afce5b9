-- The tables that the queries of etc/directory-sql-*.toml are about.
--
-- They are an example: to use tables that are there already, write queries for them.
-- SQLite, PostgreSQL and MariaDB or MySQL all take this file. For the latter, let the
-- database be one that tells é from e: CREATE DATABASE … COLLATE utf8mb4_bin.

-- Names in lower case: mailhive asks for names, addresses and domains in lower case.
CREATE TABLE accounts (
    name VARCHAR(255) PRIMARY KEY,
    type VARCHAR(10) NOT NULL DEFAULT 'individual',   -- or group, list
    secret VARCHAR(255),                              -- a hash; NULL: nobody can log in
    description VARCHAR(255) NOT NULL DEFAULT '',
    quota BIGINT NOT NULL DEFAULT 0,                  -- octets; 0: no limit
    members_may VARCHAR(5) NOT NULL DEFAULT 'write',  -- of a group: or read
    mailboxes VARCHAR(7) NOT NULL DEFAULT 'default',  -- or inbox
    active SMALLINT NOT NULL DEFAULT 1                -- 0: neither login nor mail
);

-- The address with the lowest position is the primary one; '@example.org' is a catch-all.
CREATE TABLE emails (
    address VARCHAR(320) PRIMARY KEY,
    name VARCHAR(255) NOT NULL REFERENCES accounts (name),
    position SMALLINT NOT NULL DEFAULT 0
);
CREATE INDEX emails_by_name ON emails (name);

-- Who is in which group or list.
CREATE TABLE group_members (
    name VARCHAR(255) NOT NULL REFERENCES accounts (name),
    member_of VARCHAR(255) NOT NULL REFERENCES accounts (name),
    position SMALLINT NOT NULL DEFAULT 0,
    PRIMARY KEY (name, member_of)
);
