-- 3: a password keeps its name as a credential when another hash of it is stored.

-- NULL for the name that follows from the secret, which is as it was set.
ALTER TABLE principal ADD COLUMN credential TEXT;
