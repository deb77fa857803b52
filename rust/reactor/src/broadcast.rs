//! Work for every peer, done in slices: terminate_app to a whole fleet, or its closing.
//!
//! A walk goes through the table once, a bounded number of peers a turn, so that acks and heartbeats are read while it
//! lasts. Each peer that is there at the start and stays is met exactly once. The message of terminate_app is one
//! frame whose id is cut out: for each agent 36 bytes are filled in, and nothing is framed or escaped again. What is
//! allocated is the note of what the agent owes.

use dscore_proto::agent::{self, TERMINATE_HEAD};
use dscore_traffic::ConnId;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::TerminateAll;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::agent::termination::{Termination, cannot_send};
use crate::context::Context;
use crate::conversation::Conversation;
use crate::form::Form;
use crate::peer::{Peer, Stage};

/// Peers met in one turn: some milliseconds' work, so that no other peer waits longer.
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
        closing: Closing,
        of: u64,
    },
}

/// The closing handshake with every WebSocket.
#[derive(Debug)]
pub(crate) struct Closing {
    /// What to say.
    pub(crate) close_frame: CloseFrame,
    /// Evenly over how long.
    pub(crate) spread_ms: u64,
    /// Whether connections that only watch, and guests', stay.
    pub(crate) spare_watchers: bool,
}

impl Walk {
    /// terminate_app to every agent.
    pub(crate) fn terminate(order: TerminateAll, cx: &Context) -> Self {
        let frame = TerminateFrame::new(&order.reason);
        Self::new(Task::Terminate { order, frame }, cx)
    }

    /// The closing handshake; there are `of` peers.
    pub(crate) fn close(closing: Closing, of: usize, cx: &Context) -> Self {
        let of = of.max(1) as u64;
        Self::new(Task::Close { closing, of }, cx)
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
            (Task::Terminate { order, frame }, Stage::Conversation(conversation)) => {
                terminate_in_drain(conn, conversation, order, frame, self.began_ms, cx);
            }
            (Task::Terminate { .. }, Stage::Http(_)) | (_, Stage::Probe(_)) => {}
            (Task::Close { closing, .. }, Stage::Conversation(conversation))
                if closing.spare_watchers && conversation.identity.is_spared() => {}
            (Task::Close { closing, of }, Stage::Conversation(conversation)) => {
                let slot = closing.spread_ms * self.met.min(*of) / *of;
                self.met += 1;
                conversation.close_at(self.began_ms + slot, &closing.close_frame, cx);
            }
            (Task::Close { .. }, Stage::Http(http)) => peer.finished |= http.is_idle(),
        }
    }
}

fn terminate_in_drain(
    conn: ConnId,
    conversation: &mut Conversation,
    order: &TerminateAll,
    frame: &mut TerminateFrame,
    began_ms: u64,
    cx: &mut Context,
) {
    if !conversation.identity.is_agent() || !conversation.is_open() {
        return;
    }
    let notice = conversation.identity.notice_only;
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
    send_terminate(conn, conversation, termination, frame, cx);
}

/// Sends terminate_app to one open agent and notes what it owes.
pub(crate) fn send_terminate(
    conn: ConnId,
    conversation: &mut Conversation,
    termination: Termination,
    frame: &mut TerminateFrame,
    cx: &mut Context,
) {
    if !conversation.dialect.is_ready() {
        return cannot_send(conn, termination, "the agent has left its namespace", cx);
    }
    let request = termination.request;
    let terminations = conversation.identity.terminations.get_or_insert_default();
    if terminations.add(conn, termination, cx) {
        cx.stats.terminates_total += 1;
        cx.send_frame(frame.fill(conversation.dialect.form(), request));
    }
}

/// One terminate_app frame for each form; only its id changes.
#[derive(Debug)]
pub struct TerminateFrame {
    bare: Template,
    event: Template,
}

/// A frame, and where its id stands.
#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    id_at: usize,
}

impl TerminateFrame {
    /// The templates, with the reason in them.
    pub fn new(reason: &str) -> Self {
        let mut text = TERMINATE_HEAD.to_vec();
        text.extend_from_slice(&PLACE_OF_ID);
        agent::encode_terminate_tail(reason, &mut text);
        Self {
            bare: Template::new(Form::Bare, &text),
            event: Template::new(Form::Event, &text),
        }
    }

    /// The frame with this id in it.
    pub fn fill(&mut self, form: Form, request: Uuid) -> &[u8] {
        match form {
            Form::Bare | Form::Packet(_) => self.bare.fill(request),
            Form::Event => self.event.fill(request),
        }
    }
}

/// Stands before the reason in every form, so that a reason with the same bytes is not taken for it.
const PLACE_OF_ID: [u8; Hyphenated::LENGTH] = [b'0'; Hyphenated::LENGTH];

impl Template {
    fn new(form: Form, text: &[u8]) -> Self {
        let mut bytes = Vec::new();
        form.encode_text(text, &mut bytes);
        let id_at = bytes
            .windows(PLACE_OF_ID.len())
            .position(|window| window == PLACE_OF_ID)
            .unwrap_or_default();
        Self { bytes, id_at }
    }

    fn fill(&mut self, request: Uuid) -> &[u8] {
        let place = self.id_at..self.id_at + PLACE_OF_ID.len();
        if let Some(id) = self.bytes.get_mut(place) {
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
        for (form, expected) in [
            (
                Form::Bare,
                r#"{"type":"terminate_app","request_id":"01234567-89ab-4def-8123-456789abcdef","reason":"say \"bye\""}"#,
            ),
            (
                Form::Event,
                r#"42["terminate_app",{"request_id":"01234567-89ab-4def-8123-456789abcdef","reason":"say \"bye\""}]"#,
            ),
        ] {
            let bytes = frame.fill(form, id);
            assert_eq!(bytes[0], 0x81);
            assert_eq!(usize::from(bytes[1]), bytes.len() - 2);
            assert_eq!(std::str::from_utf8(&bytes[2..]).ok(), Some(expected));
        }
    }
}
