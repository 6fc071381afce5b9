-- 4: logins by SCRAM, beside those by password.

-- What SCRAM-SHA-256 needs to know of the password whose hash `secret` is; NULL if nothing is kept.
ALTER TABLE principal ADD COLUMN scram TEXT;
