-- At which server its tunnel was last; empty where there is one server only.
ALTER TABLE installations ADD COLUMN node TEXT NOT NULL DEFAULT '';
