-- 2: recipients are attempted by destination; sending later; reports to senders; `untold` counts.

ALTER TABLE message ADD COLUMN send_at INTEGER;      -- it is not to go before

ALTER TABLE recipient ADD COLUMN parameters TEXT NOT NULL DEFAULT '{}';  -- of RCPT
ALTER TABLE recipient ADD COLUMN destination TEXT NOT NULL DEFAULT '';   -- empty: not known
ALTER TABLE recipient ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recipient ADD COLUMN due_at INTEGER;     -- NULL while there is nothing to attempt
ALTER TABLE recipient ADD COLUMN host TEXT NOT NULL DEFAULT '';  -- whose reply it is
ALTER TABLE recipient ADD COLUMN report TEXT;        -- failed, delayed, delivered, relayed: to be told
ALTER TABLE recipient ADD COLUMN warned INTEGER NOT NULL DEFAULT 0;

UPDATE recipient SET
    attempts = (SELECT attempts FROM message WHERE id = message),
    due_at = (SELECT CASE state WHEN 'ready' THEN coalesce(due_at, 0) END
              FROM message WHERE id = message)
    WHERE delivered = 'queued';

DROP INDEX message_due;
ALTER TABLE message DROP COLUMN due_at;
ALTER TABLE message DROP COLUMN attempts;

CREATE INDEX recipient_due ON recipient (due_at, destination) WHERE due_at IS NOT NULL;
CREATE INDEX recipient_report ON recipient (message) WHERE report IS NOT NULL;
