-- The values of Secrets are sealed. One row: the id of the key in use (empty until there is a Secret), and whether the file may
-- still hold what it should not (plain text of an older schema, or values sealed with an older key): 1 until it was rewritten.
CREATE TABLE sealing (key_id TEXT NOT NULL, must_rewrite INTEGER NOT NULL);
INSERT INTO sealing VALUES ('', 0);
