-- Commissioning reports: what each test of a device did and found. The newest of each device are kept.

CREATE TABLE commissioning_report (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: a printed report bears it
    device TEXT NOT NULL,                  -- device.id at that time
    at TEXT NOT NULL,                      -- when the test began
    verdict TEXT NOT NULL,                 -- passed, failed or cancelled
    made_by TEXT NOT NULL,                 -- who asked for it
    document TEXT NOT NULL                 -- JSON: the report
) STRICT;
CREATE INDEX commissioning_report_device ON commissioning_report (device, id);
