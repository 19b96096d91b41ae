-- Transactions of charge points that speak OCPP: acknowledged to them only when they stand here.

CREATE TABLE ocpp_transaction (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- the number that an OCPP 1.6 charge point is told; never given twice
    identity TEXT NOT NULL,    -- of the charge point
    connector INTEGER NOT NULL, -- of its connectors, or EVSE in 2.0.1
    number TEXT NOT NULL,      -- the charge point's own ID of it (2.0.1); empty: id is its number
    began_at TEXT NOT NULL,    -- as the charge point says
    begin_wh REAL,             -- total register then; NULL: it did not say
    user TEXT,                 -- user.id whose card it was; NULL: nobody known
    token TEXT NOT NULL,       -- keyed hash of the card; empty: none was shown
    ended_at TEXT,             -- as the charge point says; NULL: it runs
    end_wh REAL,               -- total register then; NULL: it did not say, or it runs
    reason TEXT,               -- why it ended, in OCPP's word; NULL: it runs
    told INTEGER NOT NULL DEFAULT 0 -- 1: the session has all of it, its end too
) STRICT;
CREATE INDEX ocpp_transaction_open ON ocpp_transaction (identity) WHERE ended_at IS NULL;
CREATE INDEX ocpp_transaction_begun ON ocpp_transaction (identity, began_at);
