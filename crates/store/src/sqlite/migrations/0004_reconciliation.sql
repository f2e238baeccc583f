-- Reconciliation of express taps: which device got which handles of an index, the taps that gates have
-- told of, and what was found amiss. A finding is an event of the log; this table is the way to it.

ALTER TABLE handle_index ADD COLUMN draws BLOB NOT NULL DEFAULT x'';
ALTER TABLE handle_index ADD COLUMN seen BLOB NOT NULL DEFAULT x'';
CREATE INDEX handle_index_by_place ON handle_index (operator, epoch, status_index);

CREATE TABLE finding (
    event BLOB PRIMARY KEY,
    operator TEXT NOT NULL,
    pass BLOB,
    FOREIGN KEY (event) REFERENCES leaf (event)
) STRICT, WITHOUT ROWID;
CREATE INDEX finding_by_pass ON finding (operator, pass, event);
