-- Times are microseconds since 1970 UTC, identifiers 16-byte blobs, structured values JSON text.
-- Every row of a tenant begins with its operator, and every reference repeats it, so that no row
-- can point into another tenant.

CREATE TABLE operator (
    code TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    registered_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
    operator TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (operator, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE staff_token (
    id BLOB PRIMARY KEY,
    operator TEXT NOT NULL,
    label TEXT NOT NULL,
    roles TEXT NOT NULL,
    hash BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_token_of_operator ON staff_token (operator, id);

CREATE TABLE person (
    operator TEXT NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    contact TEXT,
    reference TEXT,
    registered_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (operator, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX person_by_reference ON person (operator, reference) WHERE reference IS NOT NULL;

CREATE TABLE product (
    operator TEXT NOT NULL,
    code TEXT NOT NULL,
    version INTEGER NOT NULL,
    terms TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (operator, code, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE pass (
    operator TEXT NOT NULL,
    id BLOB NOT NULL,
    person BLOB NOT NULL,
    product TEXT NOT NULL,
    product_version INTEGER NOT NULL,
    state TEXT NOT NULL,
    valid_from INTEGER NOT NULL,
    valid_until INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    collected_at INTEGER,
    changed_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (operator, id),
    FOREIGN KEY (operator, person) REFERENCES person (operator, id),
    FOREIGN KEY (operator, product, product_version) REFERENCES product (operator, code, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX pass_of_person ON pass (operator, person, id);

CREATE TABLE offer (
    operator TEXT NOT NULL,
    id BLOB NOT NULL,
    pass BLOB NOT NULL,
    product TEXT NOT NULL,
    formats TEXT NOT NULL,
    code_digest BLOB NOT NULL,
    transaction_code_digest BLOB,
    tries_left INTEGER NOT NULL,
    state TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (operator, id),
    FOREIGN KEY (operator, pass) REFERENCES pass (operator, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX offer_by_code ON offer (operator, code_digest);
CREATE INDEX offer_of_pass ON offer (operator, pass);

CREATE TABLE access_grant (
    operator TEXT NOT NULL,
    token_digest BLOB NOT NULL,
    offer BLOB NOT NULL,
    pass BLOB NOT NULL,
    remaining TEXT NOT NULL,
    key_thumbprint BLOB,
    expires_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (operator, token_digest),
    FOREIGN KEY (operator, offer) REFERENCES offer (operator, id),
    FOREIGN KEY (operator, pass) REFERENCES pass (operator, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE status_list (
    operator TEXT NOT NULL,
    number INTEGER NOT NULL,
    capacity INTEGER NOT NULL,
    opened_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (operator, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE document (
    operator TEXT NOT NULL,
    id BLOB NOT NULL,
    pass BLOB NOT NULL,
    format TEXT NOT NULL,
    key_thumbprint BLOB NOT NULL,
    status_list INTEGER NOT NULL,
    status_index INTEGER NOT NULL,
    standing TEXT NOT NULL,
    delivery TEXT NOT NULL,
    notification_digest BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    valid_until INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (operator, id),
    FOREIGN KEY (operator, pass) REFERENCES pass (operator, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX document_by_status ON document (operator, status_list, status_index);
CREATE UNIQUE INDEX document_by_key ON document (operator, key_thumbprint);
CREATE INDEX document_by_notification ON document (operator, notification_digest);
CREATE INDEX document_of_pass ON document (operator, pass);
CREATE INDEX document_not_valid ON document (operator, status_list, status_index)
    WHERE standing <> 'valid';

CREATE TABLE once (
    operator TEXT NOT NULL,
    scope TEXT NOT NULL,
    digest BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (operator, scope, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX once_by_end ON once (expires_at);

CREATE TABLE place (
    code TEXT PRIMARY KEY,
    operator TEXT NOT NULL,
    name TEXT NOT NULL,
    zone TEXT,
    class TEXT,
    added_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (operator, code)
) STRICT, WITHOUT ROWID;

CREATE TABLE place_grant (
    operator TEXT NOT NULL,
    place TEXT NOT NULL,
    product_operator TEXT NOT NULL,
    product TEXT NOT NULL,
    class TEXT NOT NULL,
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (operator, place, product_operator, product, class),
    FOREIGN KEY (operator, place) REFERENCES place (operator, code)
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolment (
    id BLOB PRIMARY KEY,
    operator TEXT NOT NULL,
    label TEXT NOT NULL,
    doors TEXT NOT NULL,
    hash BLOB NOT NULL,
    tries_left INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_by BLOB,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX enrolment_of_operator ON enrolment (operator, id);

CREATE TABLE reader (
    operator TEXT NOT NULL,
    id BLOB NOT NULL,
    label TEXT NOT NULL,
    doors TEXT NOT NULL,
    retired_at INTEGER,
    public_key BLOB NOT NULL,
    certificate BLOB NOT NULL,
    certificate_not_before INTEGER NOT NULL,
    certificate_not_after INTEGER NOT NULL,
    bundle_epoch INTEGER NOT NULL,
    journal_next INTEGER NOT NULL,
    journal_hash BLOB NOT NULL,
    watermark_bundle_epoch INTEGER,
    watermark_status_issued_at INTEGER,
    watermark_at INTEGER,
    enrolled_at INTEGER NOT NULL,
    secret_hash BLOB NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (operator, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX reader_by_id ON reader (id);

CREATE TABLE journal_record (
    operator TEXT NOT NULL,
    reader BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    hash BLOB NOT NULL,
    record BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (operator, reader, sequence),
    FOREIGN KEY (operator, reader) REFERENCES reader (operator, id)
) STRICT, WITHOUT ROWID;

-- The audit log: leaves without gaps, from 0, in the order of their commits.
CREATE TABLE leaf (
    sequence INTEGER PRIMARY KEY,
    event BLOB NOT NULL,
    operator TEXT NOT NULL,
    entry BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX leaf_by_event ON leaf (event);
CREATE INDEX leaf_of_operator ON leaf (operator, sequence);

-- What a leaf commits to. Deleting a row makes its leaf say nothing; the log stays whole.
CREATE TABLE event_detail (
    event BLOB PRIMARY KEY,
    operator TEXT NOT NULL,
    payload TEXT NOT NULL,
    commitment_key BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: the newest published checkpoint.
CREATE TABLE log_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT;

CREATE TABLE job (
    id BLOB PRIMARY KEY,
    operator TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    dedup TEXT,
    run_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    leased_until INTEGER,
    dead_reason TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX job_waiting ON job (run_at, id) WHERE dead_reason IS NULL;
CREATE UNIQUE INDEX job_by_dedup ON job (operator, kind, dedup) WHERE dedup IS NOT NULL;
CREATE INDEX job_dead ON job (id) WHERE dead_reason IS NOT NULL;
