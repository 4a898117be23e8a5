-- What the file has in Spin beside the host's tables.

-- Every request is another instance, so the file says which keys exist.
CREATE UNIQUE INDEX IF NOT EXISTS spin_exposure_key ON exposure(key);

-- Names that are leased, for jobs.
CREATE TABLE IF NOT EXISTS spin_lease(
    name       TEXT PRIMARY KEY,
    token      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Numbers that are given out once. `lease`: tokens.
CREATE TABLE IF NOT EXISTS spin_counter(
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
