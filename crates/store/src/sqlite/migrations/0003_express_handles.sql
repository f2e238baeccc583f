-- Handles of the express tap: an index of a status list for each pass, zone and epoch, and how many
-- were given out. The handles themselves are nowhere but in the wallet.

ALTER TABLE status_list ADD COLUMN epoch INTEGER;

CREATE TABLE handle_index (
    operator TEXT NOT NULL,
    pass BLOB NOT NULL,
    zone TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    status_list INTEGER NOT NULL,
    status_index INTEGER NOT NULL,
    standing TEXT NOT NULL,
    given INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (operator, pass, zone, epoch),
    FOREIGN KEY (operator, pass) REFERENCES pass (operator, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX handle_index_by_status ON handle_index (operator, status_list, status_index);
CREATE INDEX handle_index_by_epoch ON handle_index (epoch);
CREATE INDEX handle_index_not_valid ON handle_index (operator, status_list, status_index)
    WHERE standing <> 'valid';
