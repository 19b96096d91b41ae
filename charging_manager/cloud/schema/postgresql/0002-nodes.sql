-- The servers that share this database.
CREATE TABLE node (
    id TEXT PRIMARY KEY,                 -- of its state directory
    address TEXT NOT NULL,               -- host:port at which the others dial it
    program TEXT NOT NULL,               -- its version
    alive INTEGER NOT NULL,              -- 0: it ended, or was not heard of for too long
    seen_at TIMESTAMPTZ NOT NULL         -- by this server's clock
);

-- What all of them have in common.
CREATE TABLE cluster (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    secret_check TEXT NOT NULL           -- HMAC under their secret, which is not here
);

-- Files that are the same in each one's state directory: the admin password and the second factor.
CREATE TABLE shared_file (
    name TEXT PRIMARY KEY,
    content TEXT,                        -- NULL: there is no such file
    version BIGINT NOT NULL              -- grows with each change
);

ALTER TABLE installations ADD COLUMN node TEXT NOT NULL DEFAULT '';
