-- Keys of health authorities that are imported from where they publish them.
ALTER TABLE health_authority ADD COLUMN jwks_uri TEXT;                                  -- NULL: keys are added by hand
ALTER TABLE health_authority ADD COLUMN allow_empty_key_set INTEGER NOT NULL DEFAULT 0; -- 1: an import may revoke all keys
ALTER TABLE health_authority ADD COLUMN statistics_enabled INTEGER NOT NULL DEFAULT 1;  -- 1: it may read its statistics
