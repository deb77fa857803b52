#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use std::collections::BTreeMap;

use dscore_proto::close::CloseCode;

use super::*;
use crate::message;

const ACK: &str = r#"{"type":"app_ready_ack","status":"ok","session_restored":false,"server_status":"running","nextHeartbeatIn":1}"#;
const TERMINATE: &str =
    r#"{"type":"terminate_app","request_id":"0b0e5c2e-7d0c-4a0e-9f5e-0123456789ab","reason":"r"}"#;

/// The agent with a server that says what it is told to.
struct Pair {
    agent: Agent,
    server: Connection,
    options: Options,
    tally: Tally,
    kept: Vec<u8>,
    said: Vec<String>,
    /// What the server's side of the protocol answers by itself.
    answers: Vec<u8>,
}

impl Pair {
    /// Upgraded, and its app_ready heard.
    fn new(role: Role) -> Self {
        Self::upgraded(role, Dialect::Raw)
    }

    fn upgraded(role: Role, dialect: Dialect) -> Self {
        let mut pair = Self {
            agent: Agent::new(7, role),
            server: Connection::new(dscore_proto::connection::Role::Server),
            options: Options {
                path: "/".to_owned(),
                dialect,
                ..Options::default()
            },
            tally: Tally::default(),
            kept: Vec::new(),
            said: Vec::new(),
            answers: Vec::new(),
        };
        pair.agent.begin();
        let mut request = Vec::new();
        pair.agent.connected(&pair.options, &mut request);
        let mut slots = [httparse::EMPTY_HEADER; 16];
        let (head, _) = dscore_proto::http::parse_head(&request, &mut slots, 4096)
            .unwrap()
            .unwrap();
        let rules = handshake::UpgradeRules {
            origins: &dscore_proto::origin::OriginRules::default(),
            local: std::net::SocketAddr::from(([127, 0, 0, 1], 80)),
            check_host: false,
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
    fn feed(&mut self, bytes: &[u8]) -> Next {
        let mut last = Next::Nothing;
        for byte in bytes {
            let (mut input, mut out) = (std::mem::take(&mut self.kept), Vec::new());
            input.push(*byte);
            let (used, next) =
                self.agent
                    .receive(&mut input, 100, &self.options, &mut self.tally, &mut out);
            self.kept.extend_from_slice(&input[used..]);
            self.hear(&mut out);
            if next != Next::Nothing {
                last = next;
            }
        }
        last
    }

    fn hear(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(event) = self
            .server
            .poll_event(bytes, &mut at, &LIMITS, &mut self.answers)
            .unwrap()
        {
            self.said.push(match event {
                Event::Text(text) => text.to_owned(),
                other => format!("{other:?}"),
            });
        }
    }

    fn tell(&mut self, text: &str) -> Next {
        let mut bytes = Vec::new();
        self.server.send_text(text.as_bytes(), &mut bytes).unwrap();
        self.feed(&bytes)
    }
}

#[test]
fn introduces_itself_answers_once_and_closes() {
    let mut pair = Pair::new(Role::Well);
    assert_eq!(
        pair.said,
        [message::app_ready(Dialect::Raw, "agent-7", false, 0)]
    );
    assert_eq!(pair.tell(ACK), Next::Introduced);
    assert_eq!(pair.tell(TERMINATE), Next::Nothing);
    let mut close = Vec::new();
    pair.server
        .send_close(CloseCode::NORMAL, "Client terminated", &mut close)
        .unwrap();
    assert_eq!(pair.feed(&close), Next::AwaitEnd);
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
    for (role, next, acked, failed, vanished) in [
        (Role::Well, Next::Nothing, 1, 0, 0),
        (Role::Fail, Next::Nothing, 0, 1, 0),
        (Role::Mute, Next::Nothing, 0, 0, 0),
        (Role::Vanish, Next::Cut, 0, 0, 1),
        (Role::Extend, Next::AnswerLater, 0, 0, 0),
    ] {
        let mut pair = Pair::new(role);
        pair.tell(ACK);
        assert_eq!(pair.tell(TERMINATE), next, "{role:?}");
        let tally = &pair.tally;
        assert_eq!(
            (tally.acked, tally.answered_error, tally.vanished),
            (acked, failed, vanished)
        );
    }
}

#[test]
fn asks_for_the_time_that_it_then_takes() {
    let mut pair = Pair::new(Role::Extend);
    pair.tell(ACK);
    pair.tell(TERMINATE);
    let said = pair.said.last().unwrap();
    assert!(said.contains("termination_progress") && said.contains(r#""need_ms":20000"#));
    let mut out = Vec::new();
    pair.agent.answer(&pair.options, &mut pair.tally, &mut out);
    pair.hear(&mut out);
    assert!(pair.said.last().unwrap().contains(r#""status":"OK""#));
    assert_eq!((pair.tally.extended, pair.tally.acked), (1, 1));
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
    assert_eq!(
        pair.said.last(),
        Some(&message::heartbeat(Dialect::Raw, "agent-7"))
    );
    pair.tell(r#"{"type":"heartbeat_response","status":"ok","timestamp":"2025-01-31T23:59:59.999Z","message":"m","nextHeartbeatIn":1}"#);
    assert_eq!(pair.tally.heartbeat_latency, [60]);
}

#[test]
fn speaks_socketio_from_the_handshake_to_the_disconnect() {
    let mut pair = Pair::upgraded(Role::Well, Dialect::Socketio);
    pair.tell(r#"0{"sid":"a","upgrades":[],"pingInterval":1,"pingTimeout":1,"maxPayload":1}"#);
    assert_eq!(pair.said, ["40"]);
    pair.tell(r#"40{"sid":"b"}"#);
    let ack = r#"42["app_ready_ack",{"status":"ok","session_restored":false,"server_status":"running","nextHeartbeatIn":1}]"#;
    assert_eq!(pair.tell(ack), Next::Introduced);
    pair.tell("2");
    pair.tell(
        r#"42["terminate_app",{"request_id":"0b0e5c2e-7d0c-4a0e-9f5e-0123456789ab","reason":"r"}]"#,
    );
    assert_eq!(
        pair.said[1..],
        [
            r#"42["app_ready",{"instance_id":"agent-7","reconnection":false,"last_close_code":0,"config":{}}]"#,
            "3",
            r#"42["app_terminated",{"request_id":"0b0e5c2e-7d0c-4a0e-9f5e-0123456789ab","status":"OK","message":"pipeline stopped"}]"#,
        ]
    );
    pair.tell("41");
    // It closes by itself; the server's close frame is but the echo.
    let echo = std::mem::take(&mut pair.answers);
    assert_eq!(pair.feed(&echo), Next::AwaitEnd);
    assert_eq!((pair.agent.may_return, pair.tally.disconnects), (false, 1));
    assert_eq!(pair.tally.protocol_errors, 0, "{:?}", pair.tally.sentences);
}

#[test]
fn accuses_a_server_that_breaks_the_order_of_socketio() {
    let ack = r#"42["app_ready_ack",{"status":"ok","session_restored":false,"server_status":"running","nextHeartbeatIn":1}]"#;
    for text in [r#"40{"sid":"b"}"#, ack, r#"44{"message":"no"}"#] {
        let mut pair = Pair::upgraded(Role::Well, Dialect::Socketio);
        pair.tell(text);
        assert_eq!(pair.tally.protocol_errors, 1, "{text}");
    }
}
