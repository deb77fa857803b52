//! How an HTTP connection ends: by its client, by a deadline, or because all peers together hold too much of it.

use dscore_traffic::ConnId;
use dscore_traffic::event::Event;

use super::peer::{Asked, HttpPeer, State};
use crate::context::Context;
use crate::engineio_request::EngineIoRequest;

/// The detail of a 408.
const LATE_BODY: &str = "the request body did not arrive in time";
/// The detail of a 504.
const LATE_APP: &str = "the app did not answer the handshake in time";
/// The detail of a 503 where all peers together hold too much.
const TOO_MUCH: &str = "too many unfinished requests; try again later";

impl HttpPeer {
    /// The client sends no more; it may have gone, or wait for its answers.
    pub(crate) fn on_end(&mut self, conn: ConnId, cx: &mut Context) {
        if std::mem::replace(&mut self.input_ended, true) {
            return;
        }
        match &mut self.state {
            State::Asked(exchange, asked) => {
                exchange.keep_alive &= !self.input.is_empty();
                if *asked == Asked::App {
                    self.deadline = cx.now_ms + cx.settings.keep_alive_timeout;
                } else {
                    cx.requests.push_back(EngineIoRequest::CloseInfo(conn));
                }
            }
            State::Answering(_) => self.deadline = cx.now_ms + cx.settings.keep_alive_timeout,
            State::Reading
            | State::ReadingBody(_)
            | State::Queued { .. }
            | State::Closing { .. } => {}
        }
    }

    /// RFC 9112 §8: what has come of a request when the client sends no more is none.
    pub(super) fn break_off(&mut self, conn: ConnId, cx: &mut Context) {
        if self.is_receiving() || self.upgrade.is_some() {
            self.abandon(conn, 400, "the request broke off", cx);
            return;
        }
        let has_begun = match self.state {
            State::Reading => !self.input.is_empty(),
            State::ReadingBody(_) => true,
            State::Queued { .. }
            | State::Asked(..)
            | State::Answering(_)
            | State::Closing { .. } => false,
        };
        if has_begun {
            self.lose_request(cx);
            self.refuse(400, "the request broke off", cx);
        }
    }

    /// True when the client sends no more and is owed nothing: what was written is all there will be.
    pub(crate) fn is_exhausted(&self) -> bool {
        let is_owed = matches!(self.state, State::Asked(..) | State::Answering(_));
        self.input_ended && !is_owed && self.answered_session.is_none()
    }

    /// A poll of this session is answered though its client has ended its side.
    pub(crate) fn watch_for(&mut self, session: ConnId) {
        self.answered_session = Some(session);
    }

    /// The session that ends with this connection, if its client has turned out to be gone.
    pub(crate) fn lost_session(&self) -> Option<ConnId> {
        self.answered_session.filter(|_| self.is_broken)
    }

    /// The connection has gone: so has a session whose POST it was in the middle of.
    pub(crate) fn release(&mut self, conn: ConnId, cx: &mut Context) {
        cx.stats.http_connections -= 1;
        if self.is_asked() {
            cx.tell(Event::HttpGone(conn));
        }
        self.leave_queue(conn, cx);
        self.lose_request(cx);
    }

    /// Bytes of input that are held until the rest of it comes, its turn, or the end of its answer.
    pub(crate) fn held_input(&self) -> usize {
        let request = match &self.state {
            State::ReadingBody(partial) => partial.bytes(),
            State::Reading
            | State::Asked(..)
            | State::Answering(_)
            | State::Queued { .. }
            | State::Closing { .. } => 0,
        };
        let upload = self.upload.as_ref().map_or(0, |upload| upload.held());
        self.input.capacity() + request + upload + self.asked_bytes
    }

    /// Those of them that are held until the end of an answer: turning the connection away would not free them.
    pub(crate) fn asked_input(&self) -> usize {
        self.asked_bytes
    }

    /// All peers together hold too much input.
    pub(crate) fn turn_away(&mut self, conn: ConnId, cx: &mut Context) {
        self.leave_queue(conn, cx);
        match self.state {
            State::Reading | State::ReadingBody(_) => {
                self.lose_request(cx);
                self.refuse_for_want_of_room(cx);
            }
            State::Asked(..) | State::Answering(_) if self.upload.is_some() => {
                cx.stats.refused_total += 1;
                self.abandon(conn, 503, TOO_MUCH, cx);
            }
            // Too late for the request at hand, whose answer is under way: it is the last.
            State::Asked(..) | State::Answering(_) => self.be_last(),
            State::Queued { .. } | State::Closing { .. } => {}
        }
    }

    fn refuse_for_want_of_room(&mut self, cx: &mut Context) {
        cx.stats.refused_total += 1;
        self.refuse(503, TOO_MUCH, cx);
    }

    pub(super) fn be_last(&mut self) {
        self.is_last = true;
        self.input = Vec::new();
    }

    /// Keeps input for later; at the end there is no later.
    pub(crate) fn keep(&mut self, input: &[u8]) {
        if !self.is_last && !matches!(self.state, State::Closing { .. }) {
            self.input.extend_from_slice(input);
        }
    }

    /// Output still waits for the socket: the peer's time for the next step begins when it has taken that.
    pub(crate) fn postpone(&mut self, cx: &Context) {
        if self.deadline <= cx.now_ms {
            self.deadline = cx.now_ms
                + match self.state {
                    State::Closing { .. } => cx.settings.close_timeout,
                    _ => cx.settings.keep_alive_timeout,
                };
        }
    }

    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Does what is due. True if the socket is to be given up.
    pub(crate) fn on_timer(&mut self, conn: ConnId, cx: &mut Context) -> bool {
        if self.deadline > cx.now_ms {
            return false;
        }
        match self.state {
            State::Reading if self.fresh || !self.input.is_empty() => {
                self.refuse(408, "no complete request within the handshake timeout", cx);
                false
            }
            State::ReadingBody(_) => {
                self.lose_request(cx);
                self.refuse(408, LATE_BODY, cx);
                false
            }
            State::Asked(..) if self.upgrade.is_some() => {
                self.abandon(conn, 504, LATE_APP, cx);
                false
            }
            State::Asked(..) | State::Answering(_) if self.is_receiving() => {
                self.abandon(conn, 408, LATE_BODY, cx);
                false
            }
            _ => true,
        }
    }

    /// True once, when everything is said and sent: the writing half is to be shut.
    pub(crate) fn is_over(&mut self) -> bool {
        match &mut self.state {
            // With both sides ended the kernel would report the same of a client that is there as of one that is not.
            State::Closing { .. } if self.answered_session.is_some() => false,
            State::Closing { half_closed } => !std::mem::replace(half_closed, true),
            _ => false,
        }
    }
}
