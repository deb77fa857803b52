//! A peer that is an Engine.IO session: one that polls has no socket, and a WebSocket may bring it one.

use dscore_traffic::ConnId;
use dscore_traffic::event::Event;

use super::{Peer, Stage};
use crate::context::Context;
use crate::conversation::transport::{Polling, PostBody, Transport, fit_one_poll};
use crate::dialect::Dialect;
use crate::dialect::engine_io::EngineSession;
use crate::probe::Probe;
use crate::stream::Stream;

/// How long a poll with packets to fetch is kept, for what is said together is to go out together; and how long a new
/// WebSocket is given to listen.
const MOMENT_MS: u64 = 2;

impl Peer {
    /// What is known of an Engine.IO session, if this is one.
    pub(crate) fn engine_io(&self) -> Option<&EngineSession> {
        match &self.stage {
            Stage::Conversation(conversation) => match &conversation.dialect {
                Dialect::EngineIo(engine) => Some(engine),
                Dialect::Raw => None,
            },
            Stage::Http(_) | Stage::Probe(_) => None,
        }
    }

    /// Whether this is the session of this secret, and of an agent or a watcher that was let in.
    pub(crate) fn is_introduced_as(&self, secret: [u8; 16]) -> bool {
        match &self.stage {
            Stage::Conversation(conversation) => {
                let engine = self.engine_io();
                engine.is_some_and(|engine| engine.secret == secret)
                    && conversation.identity.is_introduced()
            }
            Stage::Http(_) | Stage::Probe(_) => false,
        }
    }

    /// Whether this is a session that polls.
    pub(crate) fn polls(&self) -> bool {
        matches!(&self.stage, Stage::Conversation(c) if matches!(c.transport, Transport::Polling(_)))
    }

    /// What is known of a session that polls, if this is one.
    pub(crate) fn as_polling(&mut self) -> Option<&mut Polling> {
        match &mut self.stage {
            Stage::Conversation(conversation) => conversation.transport.polling(),
            Stage::Http(_) | Stage::Probe(_) => None,
        }
    }

    /// When this session is to be flushed, if that was not said before: a request of it waits for an answer, or it was
    /// not greeted yet.
    pub(crate) fn due_at(&mut self, now_ms: u64) -> Option<u64> {
        let has_packets = !self.output.is_empty();
        let Stage::Conversation(conversation) = &mut self.stage else {
            return None;
        };
        let polling = match &mut conversation.transport {
            Transport::Polling(polling) => polling,
            Transport::WebSocket(_) => {
                let is_news = conversation.dialect.plan_greeting();
                return is_news.then_some(now_ms + MOMENT_MS);
            }
        };
        let is_urgent = polling.post.as_ref().is_some_and(PostBody::is_done)
            || (polling.poll.is_some() && (polling.is_upgrading || !polling.is_open()));
        let answer_at = if is_urgent {
            now_ms
        } else if has_packets && polling.poll.is_some() {
            now_ms + MOMENT_MS
        } else {
            return None;
        };
        let is_news = polling.answer_at.is_none_or(|at| answer_at < at);
        is_news.then(|| *polling.answer_at.insert(answer_at))
    }

    /// Nothing waits to be sent.
    pub(crate) fn has_sent_all(&self) -> bool {
        self.output.is_empty()
    }

    /// True for a session that polls and has no packets left that it was sent so: a client that moves on has had its
    /// last POST answered.
    pub(crate) fn can_move_to_websocket(&self) -> bool {
        match &self.stage {
            Stage::Conversation(conversation) => conversation.transport.is_at_rest(),
            Stage::Http(_) | Stage::Probe(_) => false,
        }
    }

    /// Takes the frames in front that one poll may fetch.
    pub(crate) fn take_frames(&mut self, conn: ConnId, cx: &mut Context) -> Vec<u8> {
        let (frames, caught_up) = self.output.take(fit_one_poll, cx);
        if caught_up {
            cx.tell(Event::Drained(conn));
        }
        frames
    }

    /// A WebSocket has taken over: its socket is this session's, and so is the input behind the upgrade.
    /// Returns what was known of it while it polled.
    pub(crate) fn take_over(
        &mut self,
        conn: ConnId,
        stream: Stream,
        probe: Probe,
        cx: &mut Context,
    ) -> Option<Box<Polling>> {
        let Stage::Conversation(conversation) = &mut self.stage else {
            return None;
        };
        let mut polling = conversation.transport.become_websocket(probe.connection)?;
        polling.probe = None;
        self.stream = Some(stream);
        self.last_seen = cx.now_ms;
        // What was closed while no poll came is closed here too, with the words that no poll has fetched.
        conversation.repeat_close(cx);
        let mut input = probe.kept;
        conversation.on_data(conn, &mut input, cx);
        Some(polling)
    }
}
