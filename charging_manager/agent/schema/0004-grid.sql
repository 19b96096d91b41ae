-- Orders of the grid operator (§14a EnWG), what was drawn meanwhile, and what holds on after a restart. Times are UTC, ISO 8601.

CREATE TABLE dimming_order (
    began_at TEXT PRIMARY KEY,  -- from when it was obeyed
    ended_at TEXT,              -- until when; NULL: it holds
    end TEXT,                   -- over, or restart: the program ended meanwhile; NULL: it holds
    source TEXT NOT NULL,       -- input, modbus, api, test
    reason TEXT NOT NULL,       -- the same, or why silence counts as an order: input-unknown, modbus-silent
    limit_w REAL NOT NULL,      -- what all controllable devices might draw from the grid
    asked_w REAL,               -- the number that came with the order; NULL: none
    minimum_w REAL NOT NULL     -- what the law left them at least
) STRICT;

CREATE TABLE dimming_minute (
    at TEXT PRIMARY KEY,     -- its begin
    charging_w REAL,         -- all charging, mean; NULL: not measured
    charging_most_w REAL,    -- the same, highest
    from_grid_w REAL,        -- what the dimmed charge points took from the grid, mean; NULL: not measured
    grid_w REAL,             -- the grid connection, mean, import is positive; NULL: not measured
    limit_w REAL,            -- lowest limit that held in this minute; NULL: none
    silent INTEGER NOT NULL, -- charge points that could not be read, and are not in the sums
    seconds INTEGER NOT NULL -- how often was looked
) STRICT;

CREATE TABLE standing_order (
    source TEXT PRIMARY KEY,  -- input, modbus, api
    limit_w REAL,             -- the number that came with it; NULL: none
    until_at TEXT             -- until when it holds; NULL: until its source ends it
) STRICT;
