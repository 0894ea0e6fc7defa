-- The first schema: objects with their history, and events. Everything of an object is JSON as documents write it (camelCase).

-- One row. The version of the newest change; each change takes the next one, and has one row of history.
CREATE TABLE store (version INTEGER NOT NULL);
INSERT INTO store VALUES (0);

CREATE TABLE objects (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    api_version TEXT NOT NULL,
    metadata TEXT NOT NULL,
    spec TEXT NOT NULL,
    status TEXT NOT NULL,
    UNIQUE (kind, namespace, name)
);

-- Derived from objects.metadata by the triggers below, never written by the program.
CREATE TABLE labels (
    label TEXT NOT NULL,
    value TEXT NOT NULL,
    object INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    PRIMARY KEY (label, value, object)
) WITHOUT ROWID;
CREATE INDEX labels_by_object ON labels (object);

CREATE TABLE owners (
    uid TEXT NOT NULL,
    object INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    PRIMARY KEY (uid, object)
) WITHOUT ROWID;
CREATE INDEX owners_by_object ON owners (object);

CREATE TRIGGER objects_inserted AFTER INSERT ON objects BEGIN
    INSERT INTO labels SELECT key, value, new.id FROM json_each(new.metadata, '$.labels');
    INSERT OR IGNORE INTO owners
        SELECT json_extract(value, '$.uid'), new.id FROM json_each(new.metadata, '$.ownerReferences');
END;

CREATE TRIGGER labels_changed AFTER UPDATE OF metadata ON objects
WHEN json_extract(old.metadata, '$.labels') IS NOT json_extract(new.metadata, '$.labels') BEGIN
    DELETE FROM labels WHERE object = new.id;
    INSERT INTO labels SELECT key, value, new.id FROM json_each(new.metadata, '$.labels');
END;

CREATE TRIGGER owners_changed AFTER UPDATE OF metadata ON objects
WHEN json_extract(old.metadata, '$.ownerReferences') IS NOT json_extract(new.metadata, '$.ownerReferences') BEGIN
    DELETE FROM owners WHERE object = new.id;
    INSERT OR IGNORE INTO owners
        SELECT json_extract(value, '$.uid'), new.id FROM json_each(new.metadata, '$.ownerReferences');
END;

-- type: ADDED, MODIFIED, DELETED. document: the whole object, JSON, zlib.
CREATE TABLE history (version INTEGER PRIMARY KEY, type TEXT NOT NULL, document BLOB NOT NULL);

-- sequence: the order of the last recording, for equal times. orphaned: 1 when the object is not there.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    count INTEGER NOT NULL,
    first_timestamp TEXT NOT NULL,
    last_timestamp TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    orphaned INTEGER NOT NULL,
    UNIQUE (kind, namespace, name, reason, message)
);
CREATE INDEX events_by_sequence ON events (sequence);
CREATE INDEX events_orphaned ON events (last_timestamp, sequence) WHERE orphaned = 1;
