-- What is known of a dead letter beside its own row: where its bytes are when
-- they are too many for the state, and of rows that a sink refused, whose they are.
CREATE TABLE IF NOT EXISTS dead_more (
  id TEXT PRIMARY KEY, sink TEXT NOT NULL, tbl TEXT NOT NULL, app TEXT NOT NULL, batch TEXT NOT NULL,
  rows INTEGER NOT NULL, min_time INTEGER NOT NULL, max_time INTEGER NOT NULL,
  mapping INTEGER NOT NULL, weir TEXT NOT NULL, file TEXT NOT NULL, bytes INTEGER NOT NULL, proof INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dead_more_sink ON dead_more (sink, tbl, proof);

-- Dead letters that a person dropped, without their bytes.
CREATE TABLE IF NOT EXISTS dead_dropped (
  id TEXT PRIMARY KEY, dropped INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL,
  instance TEXT NOT NULL, stream TEXT NOT NULL, lane TEXT NOT NULL, hint TEXT NOT NULL, ref TEXT NOT NULL,
  sink TEXT NOT NULL, tbl TEXT NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;

-- Batches that are some rows of the spooled batch they were cut from.
CREATE TABLE IF NOT EXISTS slices (
  seq INTEGER PRIMARY KEY, first INTEGER NOT NULL
);

-- How the refusals of a sink's table stand, as JSON.
CREATE TABLE IF NOT EXISTS refusals (
  sink TEXT NOT NULL, tbl TEXT NOT NULL, data TEXT NOT NULL,
  PRIMARY KEY (sink, tbl)
) WITHOUT ROWID;

-- What is known of a sink since it was first configured, as JSON, and the
-- versions of rows that were never meant for it: above lo, up to hi.
CREATE TABLE IF NOT EXISTS sink_marks (
  sink TEXT PRIMARY KEY, data TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sink_gaps (
  sink TEXT NOT NULL, lo INTEGER NOT NULL, hi INTEGER NOT NULL,
  PRIMARY KEY (sink, lo)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS fills (
  id TEXT PRIMARY KEY, sink TEXT NOT NULL, data TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fill_parts (
  fill TEXT NOT NULL, tbl TEXT NOT NULL, part TEXT NOT NULL,
  PRIMARY KEY (fill, tbl, part)
) WITHOUT ROWID;
