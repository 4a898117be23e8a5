-- Words as in the documentation; times are unix seconds. Files of this folder are never edited once released: a change is
-- a new file with the next number.

-- What all keys of a publish share, once per combination: a handful of rows, where a column each would cost every key.
CREATE TABLE provenance(
    id                  INTEGER PRIMARY KEY,
    app                 TEXT NOT NULL,              -- lower case; 'export-generated' for padding
    regions             TEXT NOT NULL,              -- JSON list, upper case, sorted
    traveler            INTEGER NOT NULL,
    local               INTEGER NOT NULL,           -- 1: uploaded here
    health_authority_id INTEGER                     -- NULL: verification was bypassed, or padding
);
CREATE UNIQUE INDEX provenance_unique ON provenance(app, regions, traveler, local, ifnull(health_authority_id, -1));

-- Rows are appended and never changed. id = hours since 2020-01-01 << 28 | sequence in that hour of created_at. There is
-- deliberately no index on the key: the server keeps one in memory, and is the only one that may add rows.
CREATE TABLE exposure(
    id                INTEGER PRIMARY KEY,
    provenance_id     INTEGER NOT NULL,             -- provenance.id; not REFERENCES, which would be checked for each key
    created_at        INTEGER NOT NULL,             -- truncated; decides export batch and purge
    key               BLOB NOT NULL,                -- 16 bytes
    rolling_start     INTEGER NOT NULL,             -- interval number
    rolling_period    INTEGER NOT NULL,             -- 1 to 144
    transmission_risk INTEGER NOT NULL,             -- 0 to 8
    report_type       INTEGER NOT NULL,             -- number of the export format, 0 unknown
    days_since_onset  INTEGER
);

-- The change of status of an exposure, if it had one.
CREATE TABLE exposure_revision(
    exposure_id         INTEGER PRIMARY KEY,
    version             INTEGER NOT NULL,           -- counts changes: 1 after the first
    revised_at          INTEGER NOT NULL,           -- truncated; decides export batch
    report_type         INTEGER NOT NULL,
    days_since_onset    INTEGER,
    transmission_risk   INTEGER NOT NULL,
    health_authority_id INTEGER
);
CREATE INDEX exposure_revision_revised_at ON exposure_revision(revised_at);

CREATE TABLE health_authority(
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    issuer   TEXT NOT NULL UNIQUE,
    audience TEXT NOT NULL,
    name     TEXT NOT NULL
);

CREATE TABLE health_authority_key(
    health_authority_id INTEGER NOT NULL REFERENCES health_authority(id),
    version             TEXT NOT NULL,
    from_at             INTEGER NOT NULL,
    thru_at             INTEGER,
    public_key          BLOB NOT NULL,              -- uncompressed P-256 point, 65 bytes
    UNIQUE(health_authority_id, version)
);

CREATE TABLE authorized_app(
    name                  TEXT PRIMARY KEY,         -- lower case
    regions               TEXT NOT NULL,            -- JSON list
    health_authority_ids  TEXT NOT NULL,            -- JSON list
    bypass_verification   INTEGER NOT NULL,
    bypass_revision_token INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE signature_info(
    id                       INTEGER PRIMARY KEY AUTOINCREMENT,
    signing_key              TEXT NOT NULL,         -- name of the private key
    verification_key_id      TEXT NOT NULL,
    verification_key_version TEXT NOT NULL,
    thru_at                  INTEGER
);

CREATE TABLE export_config(
    id                   INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket               TEXT NOT NULL,
    filename_root        TEXT NOT NULL,
    period_seconds       INTEGER NOT NULL,
    output_region        TEXT NOT NULL,
    input_regions        TEXT NOT NULL,             -- JSON list
    exclude_regions      TEXT NOT NULL,             -- JSON list
    include_travelers    INTEGER NOT NULL,
    only_non_travelers   INTEGER NOT NULL,
    signature_info_ids   TEXT NOT NULL,             -- JSON list
    max_records_override INTEGER,
    from_at              INTEGER NOT NULL,
    thru_at              INTEGER
);
CREATE UNIQUE INDEX export_config_unique ON export_config(lower(bucket), lower(filename_root));

CREATE TABLE export_batch(
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    config_id     INTEGER NOT NULL REFERENCES export_config(id),
    start_at      INTEGER NOT NULL,
    end_at        INTEGER NOT NULL,
    state         TEXT NOT NULL DEFAULT 'open' CHECK(state IN ('open', 'leased', 'complete', 'deleted')),
    lease_token   INTEGER NOT NULL DEFAULT 0,       -- counts the leases
    lease_expires INTEGER,
    padded        INTEGER NOT NULL DEFAULT 0,       -- 1: padding keys are stored
    config        TEXT NOT NULL,                    -- JSON: the config as it was when the batch was created
    UNIQUE(config_id, start_at, end_at)
);
CREATE INDEX export_batch_end_at ON export_batch(end_at);
CREATE INDEX export_batch_workable ON export_batch(end_at) WHERE state IN ('open', 'leased');

CREATE TABLE export_file(
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    batch_id INTEGER NOT NULL REFERENCES export_batch(id),
    bucket   TEXT NOT NULL,
    filename TEXT NOT NULL,
    state    TEXT NOT NULL DEFAULT 'live' CHECK(state IN ('live', 'expired', 'deleted')),
    UNIQUE(bucket, filename)
);
CREATE INDEX export_file_batch ON export_file(batch_id);
CREATE INDEX export_file_expired ON export_file(batch_id) WHERE state = 'expired';
