-- What validators had noted together with a submission. `binding` tells the submission from others, so that the same one
-- may come again. Names of validators and apps are part of the keys: nobody meets what is another's.
CREATE TABLE used_value(
    validator  TEXT NOT NULL,
    space      TEXT NOT NULL,
    digest     BLOB NOT NULL,           -- SHA-256
    binding    BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY(validator, space, digest)
) WITHOUT ROWID;
CREATE INDEX used_value_expires ON used_value(expires_at);

CREATE TABLE device_key(
    validator   TEXT NOT NULL,
    app         TEXT NOT NULL,
    key_id      BLOB NOT NULL,
    public_key  BLOB NOT NULL,
    development INTEGER NOT NULL,
    counter     INTEGER NOT NULL,
    attested_at INTEGER NOT NULL,
    used_at     INTEGER NOT NULL,       -- time of upload of the last submission it was used for
    binding     BLOB NOT NULL,          -- of that submission
    PRIMARY KEY(validator, app, key_id)
) WITHOUT ROWID;
CREATE INDEX device_key_used ON device_key(used_at);
