"""The tables, and how a file gets from any earlier version to them.

`PRAGMA user_version` counts the migrations that a file has seen. A migration that was released is
never changed: the next one is added below it.
"""

import sqlite3
from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE agents (
        agent_id TEXT PRIMARY KEY,
        status TEXT NOT NULL,
        state TEXT NOT NULL,
        reason_code TEXT,
        ip TEXT NOT NULL,
        dialect TEXT NOT NULL,
        generation INTEGER NOT NULL,
        introduced_by TEXT NOT NULL,
        connected_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        config BLOB
    ) WITHOUT ROWID;

    -- Apart from agents: written for the whole fleet at once, so its rows must be small.
    CREATE TABLE last_seen (
        agent_id TEXT PRIMARY KEY,
        seen_at INTEGER NOT NULL,
        heartbeat_at INTEGER
    ) WITHOUT ROWID;

    CREATE TABLE sessions (
        agent_id TEXT PRIMARY KEY,
        last_close INTEGER NOT NULL,
        left_at INTEGER,
        dropped INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE outbox (
        number INTEGER PRIMARY KEY,
        agent_id TEXT NOT NULL,
        message BLOB NOT NULL
    );

    CREATE TABLE events (
        number INTEGER PRIMARY KEY,
        agent_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        data BLOB NOT NULL
    );
    CREATE INDEX events_of_agent ON events (agent_id, number);

    CREATE TABLE process (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        alive_at INTEGER NOT NULL
    );

    -- The Socket.IO contract's table, for programs that read it.
    CREATE VIEW clients AS
    SELECT agent_id AS id, agent_id AS name, ip, status,
           strftime('%Y-%m-%dT%H:%M:%fZ', seen_at / 1000.0, 'unixepoch') AS last_seen
    FROM agents LEFT JOIN last_seen USING (agent_id);
    """,
    """
    -- The age clock: what tells an age (agents.changed_at, sessions.left_at, marks) is of it.
    -- Before this version it was the wall clock.
    ALTER TABLE process ADD COLUMN age INTEGER;
    UPDATE process SET age = alive_at;

    CREATE TABLE marks (
        number INTEGER PRIMARY KEY,
        age INTEGER NOT NULL
    );
    """,
    """
    -- A minute of the fleet's history, by the Unix time of its beginning in minutes.
    CREATE TABLE history (
        number INTEGER PRIMARY KEY,
        samples BLOB NOT NULL
    );
    """,
    """
    -- What was done by means of the operator API, and what was refused of it; age: the age clock's.
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        age INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        data BLOB NOT NULL
    );
    CREATE INDEX audit_by_kind ON audit (refused, number);
    """,
    """
    -- One small row for each agent, with a number for its name: what happens to a whole fleet is
    -- one statement. Its entries go in many to a row, as JSON: [[number, at, kind, data], ...].
    DROP VIEW clients;
    ALTER TABLE agents RENAME TO old_agents;

    CREATE TABLE agents (
        number INTEGER PRIMARY KEY,
        agent_id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        reason_code TEXT,
        ip TEXT NOT NULL,
        dialect TEXT NOT NULL,
        generation INTEGER NOT NULL,
        introduced_by TEXT NOT NULL,
        connected_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        seen_at INTEGER,
        heartbeat_at INTEGER,
        last_close INTEGER,
        left_at INTEGER,
        dropped INTEGER NOT NULL,
        config BLOB
    );
    INSERT OR IGNORE INTO agents
    SELECT row_number() OVER (ORDER BY changed_at, agent_id), agent_id, state, reason_code, ip,
        dialect, generation, introduced_by, connected_at, changed_at, seen_at, heartbeat_at,
        last_close, left_at, coalesce(dropped, 0), config
    FROM old_agents LEFT JOIN last_seen USING (agent_id) LEFT JOIN sessions USING (agent_id);

    CREATE TABLE timelines (
        number INTEGER PRIMARY KEY,
        agent INTEGER NOT NULL,
        count INTEGER NOT NULL,
        entries BLOB NOT NULL
    );
    CREATE INDEX timelines_of_agent ON timelines (agent, number);
    INSERT OR IGNORE INTO timelines
    SELECT events.number, CASE events.agent_id WHEN '' THEN 0 ELSE agents.number END, 1,
        CAST('[[' || events.number || ',' || at || ',"' || kind || '",' || CAST(data AS TEXT)
            || ']]' AS BLOB)
    FROM events LEFT JOIN agents USING (agent_id);

    DROP TABLE old_agents;
    DROP TABLE last_seen;
    DROP TABLE sessions;
    DROP TABLE events;

    CREATE VIEW clients AS
    SELECT agent_id AS id, agent_id AS name, ip,
           CASE WHEN state IN ('offline', 'terminated') THEN 'offline' ELSE 'online' END AS status,
           strftime('%Y-%m-%dT%H:%M:%fZ', seen_at / 1000.0, 'unixepoch') AS last_seen
    FROM agents;
    """,
    """
    -- No index by agent_id: no statement looks for one, and the fleet has each but once.
    DROP VIEW clients;
    ALTER TABLE agents RENAME TO old_agents;

    CREATE TABLE agents (
        number INTEGER PRIMARY KEY,
        agent_id TEXT NOT NULL,
        state TEXT NOT NULL,
        reason_code TEXT,
        ip TEXT NOT NULL,
        dialect TEXT NOT NULL,
        generation INTEGER NOT NULL,
        introduced_by TEXT NOT NULL,
        connected_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        seen_at INTEGER,
        heartbeat_at INTEGER,
        last_close INTEGER,
        left_at INTEGER,
        dropped INTEGER NOT NULL,
        config BLOB
    );
    INSERT OR IGNORE INTO agents SELECT * FROM old_agents;
    DROP TABLE old_agents;

    -- An index has the number of each row as it is: named once more it stood there twice.
    DROP INDEX timelines_of_agent;
    CREATE INDEX timelines_of_agent ON timelines (agent);

    CREATE VIEW clients AS
    SELECT agent_id AS id, agent_id AS name, ip,
           CASE WHEN state IN ('offline', 'terminated') THEN 'offline' ELSE 'online' END AS status,
           strftime('%Y-%m-%dT%H:%M:%fZ', seen_at / 1000.0, 'unixepoch') AS last_seen
    FROM agents;
    """,
    """
    -- By parts of numbers that follow one another first: what is new goes to the end, into few
    -- pages. By agent alone, each row of a fleet's dirtied a page of its own.
    DROP INDEX timelines_of_agent;
    CREATE INDEX timelines_of_agent ON timelines (number >> 14, agent, count);
    """,
)


class TooNewError(Exception):
    """A later version of dscore has written this file."""


def migrate(db: sqlite3.Connection) -> None:
    """Brings a file to the present version; each step is taken as a whole or not at all.

    Raises:
        TooNewError: it is ahead of this program.
        sqlite3.Error: the file is no database, or cannot be written.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise TooNewError(f"version {version} of its tables; this dscore knows {len(MIGRATIONS)}")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
