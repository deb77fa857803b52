//! A WebSocket that is about to take over a polling session (Engine.IO protocol, "Upgrade").
//!
//! | phase | `2probe` | `5` | anything else | too late |
//! |---|---|---|---|---|
//! | silent | probed | refused | refused | refused |
//! | probed | probed | upgraded | refused | refused |
//!
//! Pings and pongs of the WebSocket itself are none of it. A probe is answered `3probe`. Upgraded, its socket becomes the
//! session's, and so does all input behind the `5`.

use dscore_proto::close::CloseCode;
use dscore_proto::connection::{Connection, Event as Incoming, Limits, MAX_LEFTOVER, Role};
use dscore_proto::frame::{self, Opcode};
use dscore_traffic::ConnId;

use crate::context::Context;

/// What a probe may say: what is much longer is none of its two words, and need not be waited for.
const WORDS: Limits = Limits {
    max_message_size: 125,
    max_fragments: 6,
};

/// A WebSocket that wants to be a session's.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Whose.
    pub(crate) session: ConnId,
    pub(crate) phase: Phase,
    pub(crate) connection: Connection,
    /// Input that was not looked at yet.
    pub(crate) kept: Vec<u8>,
    pub(crate) deadline: u64,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Silent,
    Probed,
    Upgraded,
    Refused,
}

impl Probe {
    pub(crate) fn new(session: ConnId, cx: &Context) -> Self {
        Self {
            session,
            phase: Phase::Silent,
            connection: Connection::new(Role::Server),
            kept: Vec::new(),
            deadline: cx.now_ms + cx.settings.handshake_timeout,
        }
    }

    /// Acts on `input`; the caller looks at the phase.
    pub(crate) fn on_data(&mut self, input: &mut [u8], cx: &mut Context) {
        let mut bytes = std::mem::take(&mut self.kept);
        bytes.extend_from_slice(input);
        let mut at = 0;
        // What comes behind the upgrade is for the session.
        while self.phase != Phase::Upgraded {
            let polled = self
                .connection
                .poll_event(&mut bytes, &mut at, &WORDS, &mut cx.out);
            let next = match (self.phase, polled) {
                (_, Ok(None)) => break,
                (Phase::Refused, _) => Phase::Refused,
                (phase, Ok(Some(Incoming::Ping(_) | Incoming::Pong(_)))) => phase,
                (_, Ok(Some(Incoming::Text("2probe")))) => {
                    frame::encode_message(Opcode::Text, b"3probe", &mut cx.out);
                    Phase::Probed
                }
                (Phase::Probed, Ok(Some(Incoming::Text("5")))) => Phase::Upgraded,
                _ => Phase::Refused,
            };
            if next == Phase::Refused && self.phase != Phase::Refused {
                self.refuse(cx);
            }
            self.phase = next;
        }
        bytes.drain(..at);
        self.kept = bytes;
    }

    /// It was refused with input that was kept for the session.
    pub(crate) fn keeps_in_vain(&self) -> bool {
        self.phase == Phase::Refused && self.kept.len() > MAX_LEFTOVER
    }

    pub(crate) fn held_input(&self) -> usize {
        self.connection.buffered() + self.kept.capacity()
    }

    /// Nothing is left to do once output is sent.
    pub(crate) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// There is no session for it, or it does not behave.
    pub(crate) fn refuse(&mut self, cx: &mut Context) {
        self.phase = Phase::Refused;
        self.deadline = cx.now_ms + cx.settings.close_timeout;
        let _closed_by_itself =
            self.connection
                .send_close(CloseCode::PROTOCOL_ERROR, "no upgrade", &mut cx.out);
    }

    /// Does what is due. True if the socket is to be given up.
    pub(crate) fn on_timer(&mut self, cx: &mut Context) -> bool {
        if self.deadline > cx.now_ms {
            return false;
        }
        let given_up = self.phase == Phase::Refused;
        self.refuse(cx);
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, CONN, table_rows};

    fn framed(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let mask = Some([0; 4]);
        frame::encode_header(opcode, true, payload.len() as u64, mask, &mut frame);
        frame.extend_from_slice(payload);
        frame
    }

    fn text(payload: &str) -> Vec<u8> {
        framed(Opcode::Text, payload.as_bytes())
    }

    fn in_phase(phase: &str, bench: &mut Bench) -> Probe {
        let mut probe = Probe::new(CONN, &bench.cx);
        if phase == "probed" {
            probe.on_data(&mut text("2probe"), &mut bench.cx);
            bench.said();
        }
        probe
    }

    fn phase(probe: &Probe) -> &'static str {
        match probe.phase {
            Phase::Silent => "silent",
            Phase::Probed => "probed",
            Phase::Upgraded => "upgraded",
            Phase::Refused => "refused",
        }
    }

    /// Everything that is neither of the two words a probe may say.
    fn anything_else(from: &str) -> Vec<Vec<u8>> {
        let mut others = vec![
            text(""),
            text("2"),
            text("2probe "),
            text("4hello"),
            framed(Opcode::Binary, b"2probe"),
            framed(Opcode::Close, b""),
            b"\x83\x80\0\0\0\0".to_vec(),
        ];
        if from == "silent" {
            others.push(text("6"));
        }
        others
    }

    #[test]
    fn phases_follow_each_other_as_the_documented_table_says() {
        let rows = table_rows(include_str!("probe.rs"));
        assert_eq!(rows.len(), 2);
        for row in rows {
            let inputs = [
                vec![text("2probe")],
                vec![text("5")],
                anything_else(row[0]),
                vec![vec![]],
            ];
            for (column, inputs) in inputs.into_iter().enumerate() {
                for mut input in inputs {
                    let mut bench = Bench::new();
                    let mut probe = in_phase(row[0], &mut bench);
                    assert_eq!(phase(&probe), row[0]);
                    if input.is_empty() {
                        bench.pass(probe.deadline - bench.cx.now_ms);
                        assert!(!probe.on_timer(&mut bench.cx), "it is told why first");
                    }
                    probe.on_data(&mut input, &mut bench.cx);
                    let expected = row[column + 1];
                    assert_eq!(phase(&probe), expected, "{row:?}, {input:?}");
                    let is_answered = bench.said() == ["3probe"];
                    assert_eq!(is_answered, column == 0, "{row:?}, {input:?}");
                }
            }
        }
    }

    #[test]
    fn input_behind_the_upgrade_is_kept_wherever_it_was_cut() {
        let behind = [text("4hello"), text("4again")].concat();
        let all = [
            text("2probe"),
            framed(Opcode::Ping, b""),
            text("5"),
            behind.clone(),
        ]
        .concat();
        for at in 0..all.len() {
            let mut bench = Bench::new();
            let mut probe = Probe::new(CONN, &bench.cx);
            let (mut before, mut after) = (all[..at].to_vec(), all[at..].to_vec());
            probe.on_data(&mut before, &mut bench.cx);
            probe.on_data(&mut after, &mut bench.cx);
            assert_eq!(probe.phase, Phase::Upgraded, "cut at {at}");
            assert_eq!(probe.kept, behind, "cut at {at}");
        }
    }

    #[test]
    fn one_that_was_refused_may_say_what_it_likes_and_is_given_up_in_time() {
        let mut bench = Bench::new();
        let mut probe = Probe::new(CONN, &bench.cx);
        probe.refuse(&mut bench.cx);
        assert_eq!(bench.said(), ["\u{3}\u{fffd}no upgrade"]);
        for mut input in anything_else("silent").into_iter().rev() {
            probe.on_data(&mut input, &mut bench.cx);
            assert_eq!(probe.phase, Phase::Refused);
        }
        probe.on_data(&mut text("5"), &mut bench.cx);
        assert_eq!(probe.phase, Phase::Refused);
        assert!(bench.said().is_empty(), "everything was said");
        assert!(!probe.on_timer(&mut bench.cx));
        bench.pass(probe.deadline - bench.cx.now_ms);
        assert!(probe.on_timer(&mut bench.cx));
    }
}
