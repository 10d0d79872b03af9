CREATE TABLE IF NOT EXISTS meta (
  key TEXT PRIMARY KEY, value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS listings (
  instance TEXT NOT NULL, stream TEXT NOT NULL, cursor TEXT NOT NULL,
  PRIMARY KEY (instance, stream)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS lanes (
  instance TEXT NOT NULL, stream TEXT NOT NULL, lane TEXT NOT NULL,
  hint TEXT NOT NULL, once INTEGER NOT NULL, cursor TEXT NOT NULL,
  status INTEGER NOT NULL, due INTEGER NOT NULL, fails INTEGER NOT NULL,
  class TEXT NOT NULL, error TEXT NOT NULL, changed INTEGER NOT NULL,
  PRIMARY KEY (instance, stream, lane)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS lanes_due ON lanes (instance, stream, status, due);

CREATE TABLE IF NOT EXISTS segments (
  name TEXT PRIMARY KEY, bytes INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS batches (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE, segment TEXT NOT NULL,
  offset INTEGER NOT NULL, head_len INTEGER NOT NULL, body_len INTEGER NOT NULL, crc INTEGER NOT NULL,
  tbl TEXT NOT NULL, app TEXT NOT NULL, instance TEXT NOT NULL,
  schema_version INTEGER NOT NULL, rows INTEGER NOT NULL, plain INTEGER NOT NULL,
  min_time INTEGER NOT NULL, max_time INTEGER NOT NULL,
  late INTEGER NOT NULL, created INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS batches_segment ON batches (segment);

CREATE TABLE IF NOT EXISTS deliveries (
  sink TEXT NOT NULL, tbl TEXT NOT NULL, late INTEGER NOT NULL, part TEXT NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (sink, tbl, late, part, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_seq ON deliveries (seq);
CREATE INDEX IF NOT EXISTS deliveries_part ON deliveries (part, seq);

CREATE TABLE IF NOT EXISTS sinks (
  name TEXT PRIMARY KEY, sink_id TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS parts (
  id TEXT PRIMARY KEY, previous TEXT NOT NULL, sink TEXT NOT NULL, tbl TEXT NOT NULL, n INTEGER NOT NULL,
  schema_version INTEGER NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,
  min_time INTEGER NOT NULL, max_time INTEGER NOT NULL,
  created INTEGER NOT NULL, delivered INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS parts_n ON parts (sink, tbl, n);
CREATE INDEX IF NOT EXISTS parts_delivered ON parts (delivered);

CREATE TABLE IF NOT EXISTS seen (
  instance TEXT NOT NULL, stream TEXT NOT NULL, hour INTEGER NOT NULL, n INTEGER NOT NULL,
  entries BLOB NOT NULL, added INTEGER NOT NULL,
  PRIMARY KEY (instance, stream, hour, n)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS seen_floor (
  instance TEXT NOT NULL, stream TEXT NOT NULL, hour INTEGER NOT NULL,
  PRIMARY KEY (instance, stream)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS dead (
  id TEXT PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL,
  instance TEXT NOT NULL, stream TEXT NOT NULL, lane TEXT NOT NULL, hint TEXT NOT NULL, ref TEXT NOT NULL,
  class TEXT NOT NULL, reason TEXT NOT NULL, schema_version INTEGER NOT NULL, raw BLOB NOT NULL
) WITHOUT ROWID;

-- Scans: what a stream remembers of its rounds, as JSON.
CREATE TABLE IF NOT EXISTS scans (
  instance TEXT NOT NULL, stream TEXT NOT NULL, data TEXT NOT NULL,
  PRIMARY KEY (instance, stream)
) WITHOUT ROWID;

-- listed, done, read: the newest round in which the lane was listed, was dealt
-- with, and was read to its end.
CREATE TABLE IF NOT EXISTS scan_lanes (
  num INTEGER PRIMARY KEY AUTOINCREMENT,
  instance TEXT NOT NULL, stream TEXT NOT NULL, lane TEXT NOT NULL, hint TEXT NOT NULL, cursor TEXT NOT NULL,
  due INTEGER NOT NULL, fails INTEGER NOT NULL, class TEXT NOT NULL, error TEXT NOT NULL,
  listed INTEGER NOT NULL, done INTEGER NOT NULL, read INTEGER NOT NULL,
  read_hint TEXT NOT NULL, read_at INTEGER NOT NULL, delta TEXT NOT NULL, delta_due INTEGER NOT NULL,
  UNIQUE (instance, stream, lane)
);
CREATE INDEX IF NOT EXISTS scan_lanes_due ON scan_lanes (instance, stream, listed, due);
CREATE INDEX IF NOT EXISTS scan_lanes_delta ON scan_lanes (instance, stream, delta_due) WHERE delta <> '';

CREATE TABLE IF NOT EXISTS scopes (
  num INTEGER PRIMARY KEY AUTOINCREMENT, instance TEXT NOT NULL, stream TEXT NOT NULL, tbl TEXT NOT NULL,
  UNIQUE (instance, stream, tbl)
);

-- The columns that the fingerprints of a baseline belong to.
CREATE TABLE IF NOT EXISTS layouts (
  num INTEGER PRIMARY KEY AUTOINCREMENT, columns TEXT NOT NULL UNIQUE
);

-- id is the scope's number shifted by 32 bits, and the row's within the scope.
CREATE TABLE IF NOT EXISTS baselines (
  id INTEGER PRIMARY KEY, key BLOB NOT NULL, lane INTEGER NOT NULL, missed INTEGER NOT NULL, flags INTEGER NOT NULL,
  at INTEGER NOT NULL, mapping INTEGER NOT NULL, data BLOB NOT NULL, keytext TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS baselines_key ON baselines (key);

-- Rows that the open round has shown.
CREATE TABLE IF NOT EXISTS round_seen (
  scope INTEGER NOT NULL, n INTEGER NOT NULL, rows BLOB NOT NULL, copied INTEGER NOT NULL,
  PRIMARY KEY (scope, n)
) WITHOUT ROWID;

-- Sinks that get a table's changes; done once they have had every row.
CREATE TABLE IF NOT EXISTS synced (
  sink TEXT NOT NULL, sink_id TEXT NOT NULL, tbl TEXT NOT NULL, instance TEXT NOT NULL, done INTEGER NOT NULL,
  PRIMARY KEY (sink, tbl, instance)
) WITHOUT ROWID;

-- What is complete, of streams of events: spans that neither touch nor overlap,
-- in milliseconds.
CREATE TABLE IF NOT EXISTS coverage (
  instance TEXT NOT NULL, stream TEXT NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL,
  PRIMARY KEY (instance, stream, from_ms)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS holes (
  instance TEXT NOT NULL, stream TEXT NOT NULL, key TEXT NOT NULL,
  from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, class TEXT NOT NULL, reason TEXT NOT NULL, state TEXT NOT NULL,
  since INTEGER NOT NULL, tries INTEGER NOT NULL, tried INTEGER NOT NULL, closed INTEGER NOT NULL,
  PRIMARY KEY (instance, stream, key)
) WITHOUT ROWID;

-- What sinks were told of days: a hash of it.
CREATE TABLE IF NOT EXISTS day_marks (
  sink TEXT NOT NULL, dt TEXT NOT NULL, hash INTEGER NOT NULL,
  PRIMARY KEY (sink, dt)
) WITHOUT ROWID;

-- Stretches of the past that are to be read. Their lanes and listings are kept
-- under the stream's name, "/past/" and id.
CREATE TABLE IF NOT EXISTS past (
  id INTEGER PRIMARY KEY AUTOINCREMENT, instance TEXT NOT NULL, stream TEXT NOT NULL, status TEXT NOT NULL, data TEXT NOT NULL
);

-- Governance: what was asked for, and every step of it.
CREATE TABLE IF NOT EXISTS actions (
  id TEXT PRIMARY KEY, instance TEXT NOT NULL, action TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL,
  principal TEXT NOT NULL, state TEXT NOT NULL, open INTEGER NOT NULL, due INTEGER NOT NULL,
  received INTEGER NOT NULL, started INTEGER NOT NULL, data BLOB NOT NULL
) WITHOUT ROWID;
-- Those of a queue hold all that is counted and sorted by: an action's own row is
-- large.
CREATE INDEX IF NOT EXISTS actions_ready ON actions (instance, due, received, open) WHERE open;
CREATE INDEX IF NOT EXISTS actions_asker ON actions (principal, open) WHERE open;
CREATE INDEX IF NOT EXISTS actions_begun ON actions (started, instance, principal, kind, target) WHERE started > 0;
CREATE INDEX IF NOT EXISTS actions_target ON actions (instance, kind, target, received);
CREATE INDEX IF NOT EXISTS actions_received ON actions (received);
DROP INDEX IF EXISTS actions_due; -- of before
DROP INDEX IF EXISTS actions_started;
DROP INDEX IF EXISTS actions_principal;

-- Final actions that are looked at again: whether their effect stands, or what
-- became of them.
CREATE TABLE IF NOT EXISTS action_watches (
  id TEXT PRIMARY KEY, instance TEXT NOT NULL, due INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS action_watches_due ON action_watches (instance, due);

-- Ids of actions that were dropped: none runs again under one.
CREATE TABLE IF NOT EXISTS actions_dropped (id TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS action_entries (
  seq INTEGER PRIMARY KEY, action_id TEXT NOT NULL, data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS action_entries_id ON action_entries (action_id, seq);

-- Ids of events that a sink has and others have not, found when a restored
-- state was reconciled.
CREATE TABLE IF NOT EXISTS seen_partly (
  instance TEXT NOT NULL, stream TEXT NOT NULL, hour INTEGER NOT NULL, sink TEXT NOT NULL, entries BLOB NOT NULL,
  PRIMARY KEY (instance, stream, hour, sink)
) WITHOUT ROWID;

-- Ids that sinks hold, while a state is being reconciled.
CREATE TABLE IF NOT EXISTS held (
  n INTEGER PRIMARY KEY, sink TEXT NOT NULL, instance TEXT NOT NULL, hour INTEGER NOT NULL, entries BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS held_hour ON held (instance, hour);
