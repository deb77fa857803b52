//! The log's lines about a batch: in a drain one of each agent, in the order of its notes.
//!
//! A line is a JSON object with a newline behind it, and within it none. Its names and their order are those of every other
//! line of the log: `docs/events.md` says what an event means.

use serde::Serialize;

use dscore_traffic::event::OutcomeKind;

use crate::notes::{Lost, Notes, Offline, Settled};
use crate::words::Reason;

/// In the sentence about an agent that was removed before it answered.
const NO_ID: &[u8] = b"None";

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What is expected.
    Info,
    /// What an operator may have to look at.
    Warning,
}

impl Level {
    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "info" => Some(Self::Info),
            "warning" => Some(Self::Warning),
            _ => None,
        }
    }
}

/// What has happened, how much that matters, and which logger says it.
type Event = (Level, &'static str, &'static str);

const SERVER: &str = "dscore.server";
const DISCONNECTED: Event = (Level::Info, SERVER, "agent_disconnected");
const TERMINATED: Event = (Level::Info, SERVER, "agent_terminated");
const INCOMPLETE: Event = (Level::Warning, SERVER, "agent_incomplete");
const NOT_TERMINATED: Event = (Level::Warning, SERVER, "agent_not_terminated");
const OFFLINE: Event = (Level::Info, "dscore.liveness", "agent_offline");

/// Of most lines.
const LENGTH: usize = 320;

/// Lines of one moment.
#[derive(Debug)]
pub struct Lines<'a> {
    timestamp: &'a str,
    least: Level,
    bytes: Vec<u8>,
    /// How the lines of an event begin: the same for a whole batch.
    fronts: Vec<(Event, Vec<u8>)>,
    /// The id of an agent as JSON, while a line of it is written.
    id: Vec<u8>,
}

#[derive(Serialize)]
struct Front<'a> {
    timestamp: &'a str,
    level: Level,
    logger: &'static str,
    event: &'static str,
}

#[derive(Serialize)]
struct Disconnected<'a> {
    agent_id: &'a str,
    conn_id: u64,
    close_code: u16,
    reason: &'a str,
    initiator: &'static str,
    cause: &'a str,
}

#[derive(Serialize)]
struct WentOffline<'a> {
    agent_id: &'a str,
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Incomplete<'a> {
    agent_id: Option<&'a str>,
    request_id: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct NotTerminated<'a> {
    agent_id: Option<&'a str>,
    request_id: &'a str,
    outcome: &'static str,
    message: &'a str,
}

impl<'a> Lines<'a> {
    /// Those of this level at least.
    pub fn new(timestamp: &'a str, least: Level) -> Self {
        Self {
            timestamp,
            least,
            bytes: Vec::new(),
            fronts: Vec::new(),
            id: Vec::new(),
        }
    }

    /// What notes have to say.
    pub fn of(mut self, notes: &Notes) -> Vec<u8> {
        let lines = notes.lost.len() + notes.settled.len() + notes.offline.len();
        self.bytes.reserve(LENGTH * lines);
        for lost in &notes.lost {
            self.disconnected(lost);
        }
        for settled in &notes.settled {
            self.settled(settled);
        }
        for offline in &notes.offline {
            self.offline(offline);
        }
        self.bytes
    }

    fn disconnected(&mut self, lost: &Lost) {
        let info = &lost.closed.info;
        let fields = Disconnected {
            agent_id: &lost.agent_id,
            conn_id: lost.closed.conn.to_u64(),
            close_code: info.code,
            reason: &info.reason,
            initiator: info.initiator.name(),
            cause: &info.cause,
        };
        self.say(DISCONNECTED, &fields);
    }

    fn offline(&mut self, offline: &Offline) {
        let fields = WentOffline {
            agent_id: &offline.agent_id,
            reason: offline.reason.map(Reason::name),
        };
        self.say(OFFLINE, &fields);
    }

    fn settled(&mut self, settled: &Settled) {
        let outcome = &*settled.outcome;
        let agent_id = settled.agent_id.as_deref();
        let message = &*outcome.message;
        let mut buffer = [0; 36];
        let request_id = &*outcome.request.hyphenated().encode_lower(&mut buffer);
        match outcome.kind {
            OutcomeKind::Acked => {
                if outcome.incomplete {
                    let fields = Incomplete {
                        agent_id,
                        request_id,
                        message,
                    };
                    self.say(INCOMPLETE, &fields);
                }
                self.terminated(agent_id, request_id, outcome.latency_ms());
            }
            // It has no terminate_app to fail.
            OutcomeKind::Notified => {}
            OutcomeKind::Failed | OutcomeKind::TimedOut | OutcomeKind::Vanished => {
                let fields = NotTerminated {
                    agent_id,
                    request_id,
                    outcome: outcome.kind.name(),
                    message,
                };
                self.say(NOT_TERMINATED, &fields);
            }
        }
    }

    /// A drain has this line of each agent, so it is written piece by piece, with the id escaped once for both its places.
    fn terminated(&mut self, agent_id: Option<&str>, request_id: &str, latency_ms: f64) {
        if TERMINATED.0 < self.least {
            return;
        }
        self.begin(TERMINATED);
        let bytes = &mut self.bytes;
        self.id.clear();
        let _ = serde_json::to_writer(&mut self.id, &agent_id);
        let quoted = self.id.strip_prefix(b"\"");
        let bare = quoted
            .and_then(|id| id.strip_suffix(b"\""))
            .unwrap_or(NO_ID);
        bytes.extend_from_slice(b",\"message\":\"DeepStream client ");
        bytes.extend_from_slice(bare);
        bytes.extend_from_slice(b" terminated gracefully\",\"agent_id\":");
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(b",\"request_id\":\"");
        bytes.extend_from_slice(request_id.as_bytes());
        bytes.extend_from_slice(b"\",\"latency_ms\":");
        let _ = serde_json::to_writer(&mut *bytes, &latency_ms);
        bytes.extend_from_slice(b"}\n");
    }

    /// Writes a line. Plain structures have no way to fail.
    fn say(&mut self, event: Event, fields: &impl Serialize) {
        if event.0 < self.least {
            return;
        }
        self.begin(event);
        let brace = self.bytes.len();
        let _ = serde_json::to_writer(&mut self.bytes, fields);
        // Both are one object.
        if let Some(brace) = self.bytes.get_mut(brace) {
            *brace = b',';
        }
        self.bytes.push(b'\n');
    }

    fn begin(&mut self, event: Event) {
        if let Some((_, front)) = self.fronts.iter().find(|(of, _)| *of == event) {
            return self.bytes.extend_from_slice(front);
        }
        let (level, logger, name) = event;
        let front = Front {
            timestamp: self.timestamp,
            level,
            logger,
            event: name,
        };
        let mut front = serde_json::to_vec(&front).unwrap_or_default();
        front.pop();
        self.bytes.extend_from_slice(&front);
        self.fronts.push((event, front));
    }
}
