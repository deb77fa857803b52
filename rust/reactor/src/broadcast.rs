//! Work for every peer, done in slices: terminate_app to a whole fleet, or its closing.
//!
//! A walk goes through the table once, a bounded number of peers a turn, so that acks and heartbeats are read while it
//! lasts. Each peer that is there at the start and stays is met exactly once. The message of terminate_app is one
//! frame whose id is cut out: for each agent 36 bytes are filled in, and nothing is framed or escaped again. What is
//! allocated is the note of what the agent owes.

use dscore_proto::agent::{self, TERMINATE_HEAD};
use dscore_proto::frame::{self, Opcode};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::command::{Farewell, TerminateAll};
use crate::context::Context;
use crate::peer::{Peer, Stage};
use crate::session::Who;
use crate::table::ConnId;
use crate::termination::Termination;
use crate::websocket_peer::WebSocketPeer;

/// Peers met in one turn: some milliseconds' work, so that nobody else waits longer.
pub(crate) const SLICE: usize = 512;

/// A walk through all peers of a reactor.
#[derive(Debug)]
pub(crate) struct Walk {
    task: Task,
    /// The slot to look at next.
    pub(crate) next: usize,
    /// When it began: deadlines count from here, for the last agent as for the first.
    began_ms: u64,
    met: u64,
}

#[derive(Debug)]
enum Task {
    Terminate {
        order: TerminateAll,
        frame: TerminateFrame,
    },
    Close {
        farewell: Farewell,
        spread_ms: u64,
        of: u64,
    },
}

impl Walk {
    /// terminate_app to every agent.
    pub(crate) fn terminate(order: TerminateAll, cx: &Context) -> Self {
        let frame = TerminateFrame::new(&order.reason);
        Self::new(Task::Terminate { order, frame }, cx)
    }

    /// The closing handshake with every WebSocket, evenly over `spread_ms`; there are `of` peers.
    pub(crate) fn close(farewell: Farewell, spread_ms: u64, of: usize, cx: &Context) -> Self {
        Self::new(
            Task::Close {
                farewell,
                spread_ms,
                of: of.max(1) as u64,
            },
            cx,
        )
    }

    fn new(task: Task, cx: &Context) -> Self {
        Self {
            task,
            next: 0,
            began_ms: cx.now_ms,
            met: 0,
        }
    }

    /// What the walk does with one peer.
    pub(crate) fn visit(&mut self, conn: ConnId, peer: &mut Peer, cx: &mut Context) {
        match (&mut self.task, &mut peer.stage) {
            (Task::Terminate { order, frame }, Stage::WebSocket(websocket)) => {
                terminate_in_drain(conn, websocket, order, frame, self.began_ms, cx);
            }
            (Task::Terminate { .. }, Stage::Http(_)) => {}
            (
                Task::Close {
                    farewell,
                    spread_ms,
                    of,
                },
                Stage::WebSocket(websocket),
            ) => {
                let slot = *spread_ms * self.met.min(*of) / *of;
                self.met += 1;
                websocket.close_at(self.began_ms + slot, farewell, cx);
            }
            (Task::Close { .. }, Stage::Http(http)) => peer.finished |= http.is_idle(),
        }
    }
}

fn terminate_in_drain(
    conn: ConnId,
    websocket: &mut WebSocketPeer,
    order: &TerminateAll,
    frame: &mut TerminateFrame,
    began_ms: u64,
    cx: &mut Context,
) {
    if !matches!(websocket.session.who, Who::Agent(_)) || !websocket.is_open() {
        return;
    }
    let notice = websocket.session.notice_only;
    let deadline = began_ms
        + if notice {
            order.notice_ms
        } else {
            order.timeout_ms
        };
    let termination = Termination {
        request: Uuid::new_v4(),
        deadline,
        latest: began_ms + order.timeout_ms + order.max_extension_ms,
        drain: true,
        notice,
        sent_us: cx.now_us,
        refused: None,
    };
    send_terminate(conn, websocket, termination, frame, cx);
}

/// Sends terminate_app to one open agent and notes what it owes.
pub(crate) fn send_terminate(
    conn: ConnId,
    websocket: &mut WebSocketPeer,
    termination: Termination,
    frame: &mut TerminateFrame,
    cx: &mut Context,
) {
    let request = termination.request;
    let terminations = websocket.session.terminations.get_or_insert_default();
    if terminations.add(conn, termination, cx) {
        cx.stats.terminates_total += 1;
        cx.send_frame(frame.fill(request));
    }
}

/// One terminate_app frame; only its id changes.
#[derive(Debug)]
pub struct TerminateFrame {
    bytes: Vec<u8>,
    id_at: usize,
}

impl TerminateFrame {
    /// The template, with the reason in it.
    pub fn new(reason: &str) -> Self {
        let mut tail = Vec::new();
        agent::encode_terminate_tail(reason, &mut tail);
        let length = TERMINATE_HEAD.len() + Hyphenated::LENGTH + tail.len();
        let mut bytes = Vec::with_capacity(frame::MAX_HEADER + length);
        frame::encode_header(Opcode::Text, true, length as u64, None, &mut bytes);
        bytes.extend_from_slice(TERMINATE_HEAD);
        let id_at = bytes.len();
        bytes.extend_from_slice(&[b'0'; Hyphenated::LENGTH]);
        bytes.extend_from_slice(&tail);
        Self { bytes, id_at }
    }

    /// The frame with this id in it.
    pub fn fill(&mut self, request: Uuid) -> &[u8] {
        if let Some(id) = self
            .bytes
            .get_mut(self.id_at..self.id_at + Hyphenated::LENGTH)
        {
            request.hyphenated().encode_lower(id);
        }
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_holds_the_id_and_escapes_the_reason() {
        let mut frame = TerminateFrame::new("say \"bye\"");
        let id = Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
        let bytes = frame.fill(id);
        assert_eq!(bytes[0], 0x81);
        assert_eq!(usize::from(bytes[1]), bytes.len() - 2);
        assert_eq!(
            std::str::from_utf8(&bytes[2..]).ok(),
            Some(
                r#"{"type":"terminate_app","request_id":"01234567-89ab-4def-8123-456789abcdef","reason":"say \"bye\""}"#
            )
        );
    }
}
