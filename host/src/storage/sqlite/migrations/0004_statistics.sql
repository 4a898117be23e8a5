-- How often people published by certificates of a health authority, by the UTC hour.
CREATE TABLE statistics(
    health_authority_id     INTEGER NOT NULL,
    hour                    INTEGER NOT NULL,       -- first second
    requests_unknown        INTEGER NOT NULL,       -- publishes by kind of phone
    requests_android        INTEGER NOT NULL,
    requests_ios            INTEGER NOT NULL,
    keys                    INTEGER NOT NULL,       -- stored or revised
    requests_with_revisions INTEGER NOT NULL,
    oldest_key_days         TEXT NOT NULL,          -- JSON list of 16 counts, the last for 15 days and more
    onset_days              TEXT NOT NULL,          -- JSON list of 30 counts, the last for 29 days and more
    missing_onset           INTEGER NOT NULL,
    PRIMARY KEY(health_authority_id, hour)
) WITHOUT ROWID;
