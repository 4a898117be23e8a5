-- The keys that seal revision tokens, wrapped under root keys, which are files. A row stays when its key is destroyed, so
-- that its id is never used again.
CREATE TABLE revision_key(
    id           INTEGER PRIMARY KEY,
    root_key_id  INTEGER NOT NULL,                  -- the root key that unwraps it
    wrapped      BLOB,                              -- 12-byte nonce, ciphertext, 16-byte tag; NULL: destroyed
    created_at   INTEGER NOT NULL,
    destroyed_at INTEGER,
    CHECK((wrapped IS NULL) = (destroyed_at IS NOT NULL))
);
