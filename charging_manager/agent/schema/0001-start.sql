-- The agent's state: what people configured, what happened, who is logged in.
-- Times that people read are UTC, ISO 8601; currents are amperes, energies watt hours.

CREATE TABLE site (
    one INTEGER PRIMARY KEY CHECK (one = 1),  -- there is one site
    name TEXT NOT NULL,                       -- shown in the UI and at the cloud
    language TEXT NOT NULL,                   -- en, fr or de: for what has no reader of its own
    unbalance_a REAL                          -- most that charging may differ between phases; NULL: no such limit
) STRICT;

CREATE TABLE circuit (
    id TEXT PRIMARY KEY,        -- a-z, 0-9, hyphen
    position INTEGER NOT NULL,  -- order in the UI
    name TEXT NOT NULL,         -- as people call it
    parent TEXT,                -- the circuit above; NULL for the root
    limit_l1_a REAL NOT NULL,   -- fuse, L1
    limit_l2_a REAL NOT NULL,   -- fuse, L2
    limit_l3_a REAL NOT NULL,   -- fuse, L3
    reserve_a REAL NOT NULL,    -- kept free below the limit, per phase
    fallback_a REAL NOT NULL,   -- what charging below may draw while the meter is silent, per phase
    meter TEXT                  -- device that measures this circuit; NULL: not measured
) STRICT;

CREATE TABLE device (
    id TEXT PRIMARY KEY,              -- a-z, 0-9, hyphen
    position INTEGER NOT NULL,        -- order in the UI
    name TEXT NOT NULL,               -- as people call it
    kind TEXT NOT NULL,               -- charge-point or meter
    driver TEXT NOT NULL,             -- name of the driver
    address TEXT NOT NULL,            -- as in tcp://host:502?unit=1
    circuit TEXT NOT NULL,            -- where it sits
    role TEXT,                        -- meters: grid, circuit, load, solar, storage
    phases TEXT NOT NULL,             -- the site's phase on the device's own L1, L2, L3: "1", "2,3,1"
    out_of_service INTEGER NOT NULL,  -- 1: switched off at the site, not polled and not counted
    priority INTEGER NOT NULL,        -- charge points: higher is served first
    mode TEXT NOT NULL,               -- charge points: off, solar, min-solar, fast, plan
    min_a REAL NOT NULL,              -- charge points: less than this is a pause
    max_a REAL NOT NULL,              -- charge points: never more than this
    step_a REAL NOT NULL,             -- charge points: steps that the box can take
    settings TEXT NOT NULL            -- the driver's yes-or-no settings that are on, by name, with commas
) STRICT;

CREATE TABLE user (
    id TEXT PRIMARY KEY,           -- a-z, 0-9, hyphen; not the secret ID
    position INTEGER NOT NULL,     -- order in the UI
    name TEXT NOT NULL,            -- as people call them
    remote INTEGER NOT NULL,       -- 1: may log in through the cloud
    language TEXT NOT NULL,        -- en, fr or de
    id_hash TEXT NOT NULL UNIQUE   -- HMAC-SHA-256 of the secret ID under the state directory's key, hex
) STRICT;

CREATE TABLE user_charge_point (
    user TEXT NOT NULL,          -- user.id
    charge_point TEXT NOT NULL,  -- device.id
    PRIMARY KEY (user, charge_point)
) STRICT;

CREATE TABLE cloud (
    one INTEGER PRIMARY KEY CHECK (one = 1),  -- there is one cloud service
    enabled INTEGER NOT NULL,                 -- 1: switched on
    server TEXT NOT NULL,                     -- as entered; empty: the default server
    cloud_id TEXT NOT NULL,                   -- as entered; empty with the default server
    password TEXT NOT NULL                    -- the installation password, needed in clear to log in; never shown
) STRICT;

CREATE TABLE override (
    charge_point TEXT PRIMARY KEY,  -- device.id; the row goes when its car is unplugged
    mode TEXT,                      -- the mode until then; NULL: the charge point's own
    current_a REAL                  -- the highest current until then; NULL: none
) STRICT;

CREATE TABLE charging_session (
    id TEXT PRIMARY KEY,          -- random
    charge_point TEXT NOT NULL,   -- device.id at that time
    user TEXT,                    -- user.id at that time; NULL: nobody is known
    started_at TEXT NOT NULL,     -- plugged in
    ended_at TEXT,                -- unplugged; NULL: still plugged in
    start_wh REAL,                -- total register when it began; NULL: the box has none
    end_wh REAL,                  -- the same register at the end, or last seen while open
    energy_wh REAL NOT NULL,      -- delivered so far
    seen_at TEXT NOT NULL         -- the last time that the car was seen plugged in
) STRICT;
CREATE INDEX charging_session_started ON charging_session (started_at);
CREATE INDEX charging_session_open ON charging_session (charge_point) WHERE ended_at IS NULL;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,  -- order of events
    at TEXT NOT NULL,        -- when
    actor TEXT NOT NULL,     -- admin, user:<id>, nobody, agent
    source TEXT NOT NULL,    -- address of the peer, or cloud
    action TEXT NOT NULL,    -- a stable word, as in login-failed
    subject TEXT NOT NULL,   -- what it was done to; empty: nothing in particular
    detail TEXT NOT NULL     -- in words, without secrets
) STRICT;
CREATE INDEX audit_at ON audit (at);

CREATE TABLE login_session (
    token_hash BLOB PRIMARY KEY,  -- SHA-256 of the token, which is itself never stored
    handle TEXT NOT NULL UNIQUE,  -- names it in lists, and ends it
    role TEXT NOT NULL,           -- admin or user
    user TEXT,                    -- user.id; NULL for an admin
    remote INTEGER NOT NULL,      -- 1: came through the tunnel
    language TEXT NOT NULL,       -- en, fr or de
    source TEXT NOT NULL,         -- peer's address at login
    about TEXT NOT NULL,          -- JSON, the daemon's own
    created_at TEXT NOT NULL,     -- when it began
    seen_at TEXT NOT NULL         -- last use, written at most every 5 minutes
) STRICT;
