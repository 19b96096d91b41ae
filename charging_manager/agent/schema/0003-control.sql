-- More to say of circuits, devices and users; and documents: values that are read and changed as a whole.

ALTER TABLE circuit ADD COLUMN charging_l1_a REAL;    -- what charging alone may draw, L1; NULL: no such limit
ALTER TABLE circuit ADD COLUMN charging_l2_a REAL;    -- the same, L2; all three are NULL or none
ALTER TABLE circuit ADD COLUMN charging_l3_a REAL;    -- the same, L3
ALTER TABLE circuit ADD COLUMN limit_w REAL;          -- what may flow in all, over all phases; NULL: no such limit
ALTER TABLE circuit ADD COLUMN charging_limit_w REAL; -- what charging alone may draw, over all phases; NULL: no such limit
ALTER TABLE circuit ADD COLUMN breaker_curve TEXT;    -- B or C, IEC 60898-1; NULL: its breaker was not entered
ALTER TABLE circuit ADD COLUMN breaker_rated_a REAL;  -- rated current of that breaker; NULL: it was not entered

ALTER TABLE device ADD COLUMN max_w REAL;                           -- charge points: the most over all phases; NULL: as max_a has it
ALTER TABLE device ADD COLUMN storage TEXT NOT NULL DEFAULT 'house'; -- meters of storage batteries: whom it is there for, house or all

ALTER TABLE place ADD COLUMN max_w REAL;  -- as max_a, in watts; NULL: no such limit was said

ALTER TABLE user ADD COLUMN priority INTEGER;  -- where this user charges it counts if it is higher; NULL: none

CREATE TABLE document (
    name TEXT PRIMARY KEY,  -- field of the configuration, as in rules
    value TEXT NOT NULL     -- JSON
) STRICT;
