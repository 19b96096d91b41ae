-- Where charge points hang, by address: outlives the device, so that it cannot come back elsewhere from afar.

CREATE TABLE place (
    address TEXT PRIMARY KEY,  -- endpoint, unit and connector in their one normal form, without settings of the line
    circuit TEXT NOT NULL,     -- where it hangs, as last said at the site, or else as first said
    phases TEXT NOT NULL,      -- the site's phase on its own L1, L2, L3, said at the same time
    max_a REAL NOT NULL        -- the highest current that was allowed there then
) STRICT;
