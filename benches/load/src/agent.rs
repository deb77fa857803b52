//! One simulated agent: bytes in, bytes and decisions out. It has no socket and reads no clock.
//!
//! | phase       | input                  | next        | action                                    |
//! |-------------|------------------------|-------------|-------------------------------------------|
//! | Connecting  | connected              | Upgrading   | send the handshake                        |
//! | Upgrading   | 101                    | Introducing | send app_ready                            |
//! | Introducing | app_ready_ack          | Open        | counted as introduced                     |
//! | Open        | terminate_app          | Open        | answer, be silent or vanish, by role      |
//! | Open        | heartbeat_response, …  | Open        | check and count                           |
//! | any of them | close, violation       | Closing     | echo, wait for the server to end TCP      |
//! | any         | end of the connection  | Gone        | counted, perhaps to come back             |

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dscore_proto::connection::{Connection, Event};
use dscore_proto::handshake;
use dscore_proto::message::Limits;

use crate::message::{self, Heard, RequestId};
use crate::options::{Options, Role};
use crate::tally::{Tally, count};

const LIMITS: Limits = Limits {
    max_message_size: 1 << 20,
    max_fragments: 64,
};
/// Heartbeats of one agent that may wait for their answers; a server this far behind gets no more of them.
const MAX_BEATS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Upgrading,
    Introducing,
    Open,
    Closing,
    Gone,
}

/// What the fleet must do for an agent after it was fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Todo {
    Nothing,
    /// It has just been introduced.
    Introduced,
    /// Call `answer` after the answer delay.
    AnswerLater,
    /// The closing handshake is done on our side: wait for the end of TCP, but not forever.
    AwaitEnd,
    /// Cut the connection without a word.
    Cut,
}

pub(crate) struct Agent {
    /// Its place in the whole fleet.
    pub(crate) index: usize,
    pub(crate) role: Role,
    pub(crate) phase: Phase,
    /// Which of its connections this is; timers of earlier ones miss by it.
    pub(crate) attempt: u32,
    connection: Connection,
    /// Whether any connection of it was introduced, and whether this one was.
    ever_introduced: bool,
    introduced: bool,
    told: u8,
    /// The terminate_app that waits for its answer.
    asked: Option<RequestId>,
    /// Intended times of the heartbeats that wait for their answers, oldest first.
    beats: VecDeque<u64>,
    /// The code of the last close, for the next app_ready; 1006 if there was no close frame.
    pub(crate) last_close: u16,
    /// What the server said about coming back, ms.
    pub(crate) reconnect_after: Option<u64>,
    /// Whether the server's close allows coming back (PROTOCOL.md §7).
    pub(crate) may_return: bool,
}

impl Agent {
    pub(crate) fn new(index: usize, role: Role) -> Self {
        Self {
            index,
            role,
            phase: Phase::Gone,
            attempt: 0,
            connection: Connection::client(0),
            ever_introduced: false,
            introduced: false,
            told: 0,
            asked: None,
            beats: VecDeque::new(),
            last_close: 0,
            reconnect_after: None,
            may_return: true,
        }
    }

    /// Begins a new connection.
    pub(crate) fn begin(&mut self) {
        self.phase = Phase::Connecting;
        self.attempt += 1;
        self.connection = Connection::client(self.seed());
        self.introduced = false;
        self.told = 0;
        self.asked = None;
        self.beats.clear();
        self.reconnect_after = None;
        self.may_return = true;
    }

    pub(crate) fn id(&self, options: &Options) -> String {
        format!("{}{}", options.prefix, self.index)
    }

    /// Different for each connection, the same in every run.
    fn seed(&self) -> u64 {
        ((self.index as u64) << 32 | u64::from(self.attempt)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// RFC 6455 §4.1: 16 bytes in base64. They need not be random here: there is no proxy to fool on loopback.
    fn key(&self) -> String {
        STANDARD.encode([self.seed().to_be_bytes(), self.seed().to_le_bytes()].concat())
    }

    /// TCP is connected.
    pub(crate) fn connected(&mut self, options: &Options, out: &mut Vec<u8>) {
        self.phase = Phase::Upgrading;
        handshake::client_request(&options.host, &options.path, &self.key(), &[], out);
    }

    /// Takes what was received; returns how much of it, and what to do. The rest is to come again, in front of more.
    pub(crate) fn receive(
        &mut self,
        input: &mut [u8],
        now: u64,
        options: &Options,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> (usize, Todo) {
        let mut at = 0;
        if self.phase == Phase::Upgrading {
            match handshake::check_response(input, &self.key()) {
                Ok(None) => return (0, Todo::Nothing),
                Ok(Some(len)) => {
                    at = len;
                    self.phase = Phase::Introducing;
                    let again = self.last_close != 0;
                    self.say(
                        &message::app_ready(&self.id(options), again, self.last_close),
                        out,
                    );
                }
                Err(error) => {
                    tally.fault(format!("{}: handshake: {error}", self.id(options)));
                    return (input.len(), Todo::Cut);
                }
            }
        }
        let mut todo = Todo::Nothing;
        loop {
            let heard = match self.connection.poll_event(input, &mut at, &LIMITS, out) {
                Ok(None) => return (at, todo),
                Ok(Some(Event::Text(text))) => message::parse(text),
                Ok(Some(Event::Binary(_))) => Err("a binary message".to_owned()),
                Ok(Some(Event::Ping(_) | Event::Pong(_))) => continue,
                Ok(Some(Event::Close { code, reason })) => {
                    let code = code.map_or(1005, |code| code.value());
                    let for_good = matches!(
                        (code, reason),
                        (1000 | 4409, _) | (1008, "authentication failed")
                    );
                    tally.closed(code, Some(reason), now);
                    return (input.len(), self.close(code, !for_good));
                }
                Err(error) => {
                    tally.fault(format!("{}: {error}", self.id(options)));
                    let code = error.close_code().value();
                    tally.closed(code, None, now);
                    return (input.len(), self.close(code, true));
                }
            };
            match heard.and_then(|heard| self.obey(heard, now, options, tally, out)) {
                Ok(Todo::Nothing) => {}
                Ok(Todo::Cut) => return (input.len(), Todo::Cut),
                Ok(new) => todo = new,
                Err(sentence) => tally.fault(format!("{}: {sentence}", self.id(options))),
            }
        }
    }

    fn obey(
        &mut self,
        heard: Heard,
        now: u64,
        options: &Options,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Result<Todo, String> {
        match heard {
            Heard::Refused(code) => count(&mut tally.refusals, &code, 1),
            Heard::Acknowledged if self.phase == Phase::Introducing => {
                self.introduce(now, tally);
                return Ok(Todo::Introduced);
            }
            other if self.phase != Phase::Open => {
                return Err(format!("{other:?} before app_ready_ack"));
            }
            Heard::Acknowledged => return Err("a second app_ready_ack".to_owned()),
            Heard::Heartbeat => {
                let intended = self
                    .beats
                    .pop_front()
                    .ok_or("heartbeat_response without a heartbeat")?;
                tally.heartbeat_answered(now.saturating_sub(intended));
            }
            Heard::HeartbeatFailed => {
                self.beats
                    .pop_front()
                    .ok_or("heartbeat_response without a heartbeat")?;
                tally.heartbeats_failed += 1;
            }
            Heard::ConnectionCheck => {
                self.say(&message::connection_check_response(&self.id(options)), out)
            }
            Heard::Shutdown { reconnect_after } => {
                tally.server_shutdown += 1;
                self.reconnect_after = Some(reconnect_after);
            }
            Heard::Unknown(kind) => count(&mut tally.unknown_types, &kind, 1),
            Heard::Terminate(request) => {
                tally.told_to_terminate(now, &request);
                self.told = self.told.saturating_add(1);
                return Ok(self.asked_to_terminate(request, options, tally, out));
            }
        }
        Ok(Todo::Nothing)
    }

    fn introduce(&mut self, now: u64, tally: &mut Tally) {
        self.phase = Phase::Open;
        self.introduced = true;
        tally.acks += 1;
        tally.last_introduced = tally.last_introduced.max(Some(now));
        tally.introduced += u64::from(!self.ever_introduced);
        self.ever_introduced = true;
    }

    fn asked_to_terminate(
        &mut self,
        request: RequestId,
        options: &Options,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) -> Todo {
        match self.role {
            Role::Mute | Role::Stall => return Todo::Nothing,
            Role::Vanish => {
                tally.vanished += 1;
                return Todo::Cut;
            }
            Role::Well | Role::Fail => self.asked = Some(request),
        }
        if options.answer_delay.is_zero() {
            self.answer(tally, out);
            Todo::Nothing
        } else {
            Todo::AnswerLater
        }
    }

    /// Answers the terminate_app that waits, if one does.
    pub(crate) fn answer(&mut self, tally: &mut Tally, out: &mut Vec<u8>) {
        let (Some(request), Phase::Open) = (self.asked.take(), self.phase) else {
            return;
        };
        if self.role == Role::Fail {
            self.say(
                &message::app_terminated(&request, "ERROR", "pipeline would not stop"),
                out,
            );
            tally.answered_error += 1;
        } else {
            self.say(
                &message::app_terminated(&request, "OK", "pipeline stopped"),
                out,
            );
            tally.acked += 1;
        }
    }

    /// Sends the heartbeat that was due at `intended`.
    pub(crate) fn beat(
        &mut self,
        intended: u64,
        options: &Options,
        tally: &mut Tally,
        out: &mut Vec<u8>,
    ) {
        if self.phase == Phase::Open && self.role != Role::Stall && self.beats.len() < MAX_BEATS {
            self.beats.push_back(intended);
            self.say(&message::heartbeat(&self.id(options)), out);
            tally.heartbeats_sent += 1;
        }
    }

    /// Sends a text of our own; after a close frame there is nothing more to say.
    pub(crate) fn say(&mut self, text: &str, out: &mut Vec<u8>) {
        let _ = self.connection.send_text(text.as_bytes(), out);
    }

    fn close(&mut self, code: u16, may_return: bool) -> Todo {
        self.phase = Phase::Closing;
        self.last_close = code;
        self.may_return = may_return;
        Todo::AwaitEnd
    }

    /// The connection has ended, whoever ended it; `cut` if it was we.
    pub(crate) fn end(&mut self, now: u64, cut: bool, tally: &mut Tally) {
        if !matches!(self.phase, Phase::Closing | Phase::Gone) {
            self.last_close = 1006;
            if !cut {
                tally.closed(1006, None, now);
            }
        }
        if self.introduced {
            tally.told[usize::from(self.told.min(2))] += 1;
            self.introduced = false;
        }
        self.phase = Phase::Gone;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use std::collections::BTreeMap;

    use dscore_proto::close::CloseCode;

    use super::*;

    const ACK: &str = r#"{"type":"app_ready_ack","status":"ok","session_restored":false,"server_status":"running","nextHeartbeatIn":1}"#;
    const TERMINATE: &str = r#"{"type":"terminate_app","request_id":"0b0e5c2e-7d0c-4a0e-9f5e-0123456789ab","reason":"r"}"#;

    /// The agent with a server that says what it is told to.
    struct Pair {
        agent: Agent,
        server: Connection,
        options: Options,
        tally: Tally,
        kept: Vec<u8>,
        said: Vec<String>,
    }

    impl Pair {
        /// Upgraded, and its app_ready heard.
        fn new(role: Role) -> Self {
            let mut pair = Self {
                agent: Agent::new(7, role),
                server: Connection::new(dscore_proto::connection::Role::Server),
                options: Options {
                    path: "/".to_owned(),
                    ..Options::default()
                },
                tally: Tally::default(),
                kept: Vec::new(),
                said: Vec::new(),
            };
            pair.agent.begin();
            let mut request = Vec::new();
            pair.agent.connected(&pair.options, &mut request);
            let mut slots = [httparse::EMPTY_HEADER; 16];
            let (head, _) = dscore_proto::http::parse_head(&request, &mut slots, 4096)
                .unwrap()
                .unwrap();
            let rules = handshake::UpgradeRules {
                origins: &[],
                subprotocols: &[],
            };
            let mut response = Vec::new();
            handshake::accept(&head, &rules)
                .unwrap()
                .encode(&mut response);
            pair.feed(&response);
            pair
        }

        /// Gives the agent these bytes, one at a time; returns the last thing to do.
        fn feed(&mut self, bytes: &[u8]) -> Todo {
            let mut last = Todo::Nothing;
            for byte in bytes {
                let (mut input, mut out) = (std::mem::take(&mut self.kept), Vec::new());
                input.push(*byte);
                let (used, todo) =
                    self.agent
                        .receive(&mut input, 100, &self.options, &mut self.tally, &mut out);
                self.kept.extend_from_slice(&input[used..]);
                self.hear(&mut out);
                if todo != Todo::Nothing {
                    last = todo;
                }
            }
            last
        }

        fn hear(&mut self, bytes: &mut [u8]) {
            let mut at = 0;
            while let Some(event) = self
                .server
                .poll_event(bytes, &mut at, &LIMITS, &mut Vec::new())
                .unwrap()
            {
                self.said.push(match event {
                    Event::Text(text) => text.to_owned(),
                    other => format!("{other:?}"),
                });
            }
        }

        fn tell(&mut self, text: &str) -> Todo {
            let mut bytes = Vec::new();
            self.server.send_text(text.as_bytes(), &mut bytes).unwrap();
            self.feed(&bytes)
        }
    }

    #[test]
    fn introduces_itself_answers_once_and_closes() {
        let mut pair = Pair::new(Role::Well);
        assert_eq!(pair.said, [message::app_ready("agent-7", false, 0)]);
        assert_eq!(pair.tell(ACK), Todo::Introduced);
        assert_eq!(pair.tell(TERMINATE), Todo::Nothing);
        let mut close = Vec::new();
        pair.server
            .send_close(CloseCode::NORMAL, "Client terminated", &mut close)
            .unwrap();
        assert_eq!(pair.feed(&close), Todo::AwaitEnd);
        assert!(pair.server.is_closed() && !pair.agent.may_return);
        pair.agent.end(200, false, &mut pair.tally);
        assert_eq!(
            (pair.tally.introduced, pair.tally.acked, pair.tally.told),
            (1, 1, [0, 1, 0])
        );
        assert_eq!(
            pair.tally.close_codes,
            BTreeMap::from([("1000".to_owned(), 1)])
        );
        assert_eq!(pair.tally.protocol_errors, 0, "{:?}", pair.tally.sentences);
    }

    #[test]
    fn each_role_answers_terminate_in_its_own_way() {
        for (role, todo, acked, failed, vanished) in [
            (Role::Well, Todo::Nothing, 1, 0, 0),
            (Role::Fail, Todo::Nothing, 0, 1, 0),
            (Role::Mute, Todo::Nothing, 0, 0, 0),
            (Role::Vanish, Todo::Cut, 0, 0, 1),
        ] {
            let mut pair = Pair::new(role);
            pair.tell(ACK);
            assert_eq!(pair.tell(TERMINATE), todo, "{role:?}");
            let tally = &pair.tally;
            assert_eq!(
                (tally.acked, tally.answered_error, tally.vanished),
                (acked, failed, vanished)
            );
        }
    }

    #[test]
    fn accuses_a_server_that_breaks_the_contract() {
        for (before, text) in [
            (None, TERMINATE),
            (Some(ACK), ACK),
            (
                Some(ACK),
                r#"{"type":"heartbeat_response","status":"ok","timestamp":"2025-01-31T23:59:59.999Z","message":"m","nextHeartbeatIn":1}"#,
            ),
            (Some(ACK), "[]"),
        ] {
            let mut pair = Pair::new(Role::Well);
            before.map(|text| pair.tell(text));
            pair.tell(text);
            assert_eq!(pair.tally.protocol_errors, 1, "{text}");
            assert!(!pair.tally.is_valid());
        }
    }

    #[test]
    fn being_told_twice_makes_a_run_invalid() {
        let mut pair = Pair::new(Role::Mute);
        pair.tally.agents = 1;
        pair.tell(ACK);
        pair.tell(TERMINATE);
        pair.tell(TERMINATE);
        pair.agent.end(200, false, &mut pair.tally);
        assert_eq!(pair.tally.told, [0, 0, 1]);
        assert_eq!(
            pair.tally.close_codes,
            BTreeMap::from([("1006".to_owned(), 1)])
        );
        assert!(!pair.tally.is_valid());
    }

    #[test]
    fn heartbeat_latency_counts_from_the_intended_time() {
        let mut pair = Pair::new(Role::Well);
        pair.tell(ACK);
        let mut out = Vec::new();
        pair.agent
            .beat(40, &pair.options, &mut pair.tally, &mut out);
        pair.hear(&mut out);
        assert_eq!(pair.said.last(), Some(&message::heartbeat("agent-7")));
        pair.tell(r#"{"type":"heartbeat_response","status":"ok","timestamp":"2025-01-31T23:59:59.999Z","message":"m","nextHeartbeatIn":1}"#);
        assert_eq!(pair.tally.heartbeat_latency, [60]);
    }
}
