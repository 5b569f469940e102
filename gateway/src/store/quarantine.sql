-- Nodes that broke the protocol. The row stays when its time is over, so that the next time is longer.
CREATE TABLE quarantine (
  operator TEXT PRIMARY KEY,
  reason TEXT NOT NULL,
  -- How often the node was quarantined.
  times INTEGER NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL
) WITHOUT ROWID;
