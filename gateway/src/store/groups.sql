-- Version 2: groups of keys with prepaid credit.

CREATE TABLE groups (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  -- Sum of its rows in the ledger, kept by a trigger.
  credit INTEGER NOT NULL DEFAULT 0 CHECK (typeof(credit) = 'integer' AND credit >= 0),
  created INTEGER NOT NULL
);

ALTER TABLE keys ADD COLUMN group_id INTEGER REFERENCES groups;

ALTER TABLE ledger RENAME TO old_ledger;
CREATE TABLE ledger (
  id INTEGER PRIMARY KEY,
  -- "charge" for an answer; "return": what of a charge comes back at the session's end; "deposit";
  -- "top-up" by the operator.
  kind TEXT NOT NULL,
  -- Whose credit changes; null for keys without a group.
  group_id INTEGER REFERENCES groups,
  -- The answer of a charge or return, and the API key that asked for it.
  key INTEGER,
  session INTEGER,
  number INTEGER,
  -- HEIGHT-INDEX-MESSAGE of a deposit.
  deposit TEXT,
  amount INTEGER NOT NULL CHECK (typeof(amount) = 'integer' AND amount >= 0),
  created INTEGER NOT NULL
);
INSERT INTO ledger (id, kind, key, session, number, amount, created)
  SELECT id, kind, key, session, number, amount, created FROM old_ledger;
DROP TABLE old_ledger;
-- Nothing counts twice.
CREATE UNIQUE INDEX ledger_answer_once ON ledger (session, number, kind);
CREATE UNIQUE INDEX ledger_deposit_once ON ledger (deposit);
CREATE INDEX ledger_by_key ON ledger (key, created);
CREATE INDEX ledger_by_group ON ledger (group_id, created);

CREATE TRIGGER ledger_moves_credit AFTER INSERT ON ledger WHEN new.group_id IS NOT NULL BEGIN
  UPDATE groups
    SET credit = credit + CASE new.kind WHEN 'charge' THEN -new.amount ELSE new.amount END
    WHERE id = new.group_id;
END;
CREATE TRIGGER ledger_keeps_rows BEFORE DELETE ON ledger BEGIN
  SELECT raise(ABORT, 'the ledger is append-only');
END;
CREATE TRIGGER ledger_keeps_values BEFORE UPDATE ON ledger BEGIN
  SELECT raise(ABORT, 'the ledger is append-only');
END;

-- Transfers to the gateway's account, by their place in the chain.
CREATE TABLE deposits (
  height INTEGER NOT NULL,
  -- Index of the transaction in its block, and of the message in its transaction.
  tx INTEGER NOT NULL,
  message INTEGER NOT NULL,
  sender TEXT NOT NULL,
  amount INTEGER NOT NULL,
  memo TEXT NOT NULL,
  -- Null until the operator assigns it.
  group_id INTEGER REFERENCES groups,
  PRIMARY KEY (height, tx, message)
) WITHOUT ROWID;

-- The last block whose transfers are stored: one row, once there is one.
CREATE TABLE followed (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  height INTEGER NOT NULL
);
