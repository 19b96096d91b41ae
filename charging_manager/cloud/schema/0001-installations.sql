-- An installation that may open a tunnel.
CREATE TABLE installations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,     -- never given twice: a new one of the same name inherits nothing
    cloud_id TEXT NOT NULL UNIQUE COLLATE NOCASE, -- as the cloud's admin wrote it; compared without case
    source TEXT NOT NULL CHECK (source IN ('added', 'enrolled')), -- by the admin, or by its own key (serial number)
    verifier TEXT,                                -- of its password (SCRAM-SHA-256$…); NULL for enrolled ones
    created_at TEXT NOT NULL,                     -- ISO 8601, UTC, as every *_at here
    last_seen_at TEXT,                            -- when its tunnel was last known to be up; NULL: never
    version TEXT,                                 -- of the agent, as it said in the first exchange
    CHECK ((source = 'added') = (verifier IS NOT NULL))
) STRICT;

-- When tunnels came and went; only the newest of each installation are kept.
CREATE TABLE connections (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    installation INTEGER NOT NULL REFERENCES installations ON DELETE CASCADE,
    event TEXT NOT NULL CHECK (event IN ('connected', 'lost')),
    at TEXT NOT NULL,
    source TEXT NOT NULL,                         -- peer address
    detail TEXT NOT NULL                          -- version when connected, reason code when lost
) STRICT;
CREATE INDEX connections_by_installation ON connections (installation, number);

-- Logins that failed. What was typed is kept only where it names an installation: it may be a password.
CREATE TABLE failed_logins (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    door TEXT NOT NULL CHECK (door IN ('installation', 'cloud-admin')),
    installation INTEGER REFERENCES installations ON DELETE CASCADE,
    source TEXT NOT NULL,                         -- peer address
    cause TEXT NOT NULL                           -- unknown-id, offline, refused, throttled
) STRICT;

-- What the cloud's admin did. Names stay when the installation has gone.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    who TEXT NOT NULL,                            -- cloud-admin, or machine for cloud_cert
    source TEXT NOT NULL,                         -- peer address
    action TEXT NOT NULL,                         -- installation-added, certificate-changed, …
    subject TEXT NOT NULL                         -- Cloud ID, fingerprint, level
) STRICT;

-- Browsers that are logged in (http/sessions.py works on it).
CREATE TABLE login_session (
    token_hash BLOB PRIMARY KEY,                  -- SHA-256 of the cookie, which is itself never stored
    handle TEXT NOT NULL UNIQUE,                  -- names it in lists, and ends it
    role TEXT NOT NULL,                           -- as the agent granted it; admin for the cloud's admin
    user TEXT,                                    -- always NULL: the cloud knows no users
    remote INTEGER NOT NULL,                      -- 1: at an installation; 0: the cloud's admin
    language TEXT NOT NULL,
    source TEXT NOT NULL,                         -- peer's address at login
    about TEXT NOT NULL,                          -- JSON: installation (number), cloud_id, sealed (agent's token)
    created_at TEXT NOT NULL,
    seen_at TEXT NOT NULL                         -- written at most every 5 minutes
) STRICT;
