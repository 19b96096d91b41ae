-- What the cloud's admin keeps of an installation.
ALTER TABLE installations ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;      -- 1: kept out by the admin
ALTER TABLE installations ADD COLUMN approved INTEGER NOT NULL DEFAULT 1;      -- 0: enrolled itself, waits for the admin
ALTER TABLE installations ADD COLUMN next_verifier TEXT;                       -- of a new password, until an agent has proved it
ALTER TABLE installations ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE installations ADD COLUMN tags TEXT NOT NULL DEFAULT '';            -- sorted, each between blanks: " bakery north "
ALTER TABLE installations ADD COLUMN online INTEGER NOT NULL DEFAULT 0;        -- 1: its tunnel is up; 0 again at every start
ALTER TABLE installations ADD COLUMN received_bytes INTEGER NOT NULL DEFAULT 0; -- through its tunnels, from it
ALTER TABLE installations ADD COLUMN sent_bytes INTEGER NOT NULL DEFAULT 0;    -- through its tunnels, to it
ALTER TABLE installations ADD COLUMN failed_logins INTEGER NOT NULL DEFAULT 0; -- of browsers, since it was added
ALTER TABLE installations ADD COLUMN alarm_at TEXT;                            -- offline for too long since; NULL: no alarm
ALTER TABLE installations ADD COLUMN state TEXT GENERATED ALWAYS AS (
    CASE WHEN disabled THEN 'disabled' WHEN NOT approved THEN 'waiting' WHEN online THEN 'connected' ELSE 'offline' END
) VIRTUAL;

-- One index for each column that the list is sorted by; equal ones follow the Cloud ID.
CREATE INDEX installations_by_state ON installations (state, cloud_id);
CREATE INDEX installations_by_last_seen_at ON installations (coalesce(last_seen_at, ''), cloud_id);
CREATE INDEX installations_by_created_at ON installations (created_at, cloud_id);
CREATE INDEX installations_by_version ON installations (coalesce(version, ''), cloud_id);
CREATE INDEX installations_by_traffic ON installations (received_bytes + sent_bytes, cloud_id);
CREATE INDEX installations_by_failed_logins ON installations (failed_logins, cloud_id);
CREATE INDEX installations_with_alarm ON installations (alarm_at) WHERE alarm_at IS NOT NULL;
CREATE INDEX failed_logins_by_installation ON failed_logins (installation, number);

-- The audit log is a chain: each entry's hash covers the entry and the hash before it (cloud/chain.py).
ALTER TABLE audit ADD COLUMN hash TEXT;                                        -- NULL: older than the chain, not taken up yet

-- Where the chain begins and ends, sealed with the server's secret, so that neither end can be cut off.
CREATE TABLE audit_chain (
    one INTEGER PRIMARY KEY CHECK (one = 1),      -- there is one chain
    first INTEGER NOT NULL,                       -- number of the oldest entry that is kept
    before TEXT NOT NULL,                         -- hash of the one before it; empty: there never was one
    last INTEGER NOT NULL,                        -- number of the newest entry
    head TEXT NOT NULL,                           -- its hash
    seal TEXT NOT NULL                            -- HMAC of the four
) STRICT;

-- What the admin has set for the whole server.
CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL                           -- JSON
) STRICT;

-- Keys with which programs of the operator ask the API.
CREATE TABLE api_key (
    number INTEGER PRIMARY KEY AUTOINCREMENT,     -- never given twice
    name TEXT NOT NULL,                           -- as the admin called it
    scopes TEXT NOT NULL,                         -- sorted words with blanks between them
    hash BLOB NOT NULL UNIQUE,                    -- SHA-256 of the key, which is itself never stored
    created_at TEXT NOT NULL,
    expires_at TEXT,                              -- NULL: never
    last_used_at TEXT,                            -- written at most once a minute
    last_source TEXT                              -- peer address of that use
) STRICT;

-- Calls of the webhook that have not been taken yet.
CREATE TABLE webhook_call (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,                             -- when it happened
    body TEXT NOT NULL,                           -- JSON, as it is sent
    tries INTEGER NOT NULL DEFAULT 0
) STRICT;
