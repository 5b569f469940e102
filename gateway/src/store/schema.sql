-- Integers are base units, bytes, blocks or seconds since 1970.

-- Sessions that are opened together. Stored before the transaction, so that a crash loses none.
CREATE TABLE sets (
  id INTEGER PRIMARY KEY,
  -- The session key is the account key's HMAC of it.
  nonce BLOB NOT NULL,
  public_key BLOB NOT NULL UNIQUE,
  model TEXT NOT NULL,
  -- "sampled" or "all".
  tier TEXT NOT NULL,
  created INTEGER NOT NULL,
  -- Whether the chain has its sessions, or never will.
  resolved INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE sessions (
  id INTEGER PRIMARY KEY,
  set_id INTEGER NOT NULL REFERENCES sets,
  -- poq.v1.Session as the chain had it last.
  record BLOB NOT NULL,
  -- "opening", "open", "draining": open orders end, "closed": the chain ends it, or "over".
  state TEXT NOT NULL,
  -- Leaves that the newest voucher acknowledges.
  acknowledged INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX sessions_by_state ON sessions (state);

-- One row per voucher that orders, stored before it is sent.
CREATE TABLE orders (
  -- Grows: of several orders under one number the last one may be at the node.
  id INTEGER PRIMARY KEY,
  session INTEGER NOT NULL,
  number INTEGER NOT NULL,
  request BLOB NOT NULL,
  prompt_bytes INTEGER NOT NULL,
  max_answer_bytes INTEGER NOT NULL,
  min_quality INTEGER NOT NULL,
  ceiling INTEGER NOT NULL,
  -- Key of the API that asked.
  key INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  created INTEGER NOT NULL,
  -- "sent", "accepted" or "refused".
  state TEXT NOT NULL,
  UNIQUE (session, number, request)
);

CREATE TABLE leaves (
  session INTEGER NOT NULL,
  number INTEGER NOT NULL,
  -- poq.v1.Leaf and the node's signature of it.
  leaf BLOB NOT NULL,
  signature BLOB NOT NULL,
  -- What the API key paid for it.
  charged INTEGER NOT NULL,
  key INTEGER NOT NULL,
  created INTEGER NOT NULL,
  PRIMARY KEY (session, number)
) WITHOUT ROWID;

-- Texts are kept until their session is over.
CREATE TABLE texts (
  session INTEGER NOT NULL,
  number INTEGER NOT NULL,
  answer TEXT NOT NULL,
  PRIMARY KEY (session, number)
) WITHOUT ROWID;

-- Only ever appended to. The unique index refuses a second charge for one answer.
CREATE TABLE ledger (
  id INTEGER PRIMARY KEY,
  key INTEGER NOT NULL,
  kind TEXT NOT NULL,
  session INTEGER NOT NULL,
  number INTEGER NOT NULL,
  amount INTEGER NOT NULL,
  created INTEGER NOT NULL
);
CREATE UNIQUE INDEX ledger_once ON ledger (session, number, kind);
CREATE INDEX ledger_by_key ON ledger (key, created);

CREATE TABLE keys (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  prefix TEXT NOT NULL,
  name TEXT NOT NULL,
  -- Model ids, one per line; null allows all.
  models TEXT,
  requests_per_minute INTEGER,
  streams INTEGER,
  max_price INTEGER,
  budget_day INTEGER,
  budget_month INTEGER,
  created INTEGER NOT NULL,
  expires INTEGER,
  revoked INTEGER
);

-- Which answer a repeated request gets.
CREATE TABLE duplicates (
  key INTEGER NOT NULL,
  -- SHA-256 of the idempotency key or of the body, with its kind.
  token BLOB NOT NULL,
  body BLOB NOT NULL,
  session INTEGER NOT NULL,
  number INTEGER NOT NULL,
  created INTEGER NOT NULL,
  PRIMARY KEY (key, token)
) WITHOUT ROWID;
