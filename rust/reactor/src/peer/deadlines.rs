//! When something is due for a peer, and what is then done. Its deadlines stand still while its input is held back.

use dscore_traffic::ConnId;

use super::{Peer, Stage};
use crate::context::Context;

/// How long a response may wait for a reader that takes nothing of it: longer than a mobile link is lost for.
const STALL_MS: u64 = 30_000;

impl Peer {
    /// To be called before anything else is done with a peer: moves its deadlines by the time in which its input was held
    /// back.
    pub(crate) fn catch_up(&mut self, now_ms: u64) {
        if self.held_since >= now_ms {
            return;
        }
        if let Stage::Conversation(conversation) = &mut self.stage {
            let held_ms = now_ms - self.held_since;
            self.last_seen += held_ms;
            conversation.postpone(held_ms);
        }
        self.held_since = now_ms;
    }

    /// To be called when all else is done with it: notes whether its input is held back from here on.
    pub(crate) fn note_held(&mut self, now_ms: u64) {
        let is_held = matches!(&self.stage, Stage::Conversation(c) if !c.wants_read());
        self.held_since = match self.held_since {
            u64::MAX if is_held => now_ms,
            since if is_held => since,
            _ => u64::MAX,
        };
    }

    /// When something is to be done for this peer though nothing comes in; `u64::MAX` for never.
    pub(crate) fn next_deadline(&self, cx: &Context) -> u64 {
        let stage = match &self.stage {
            Stage::Http(http) => http.deadline(),
            Stage::Conversation(conversation) => {
                conversation.next_deadline(self.last_seen, &cx.settings)
            }
            Stage::Probe(probe) => probe.deadline,
        };
        stage.min(self.stall_deadline(cx))
    }

    /// Does what is due.
    pub(crate) fn on_timer(&mut self, conn: ConnId, cx: &mut Context) {
        if self.stall_deadline(cx) <= cx.now_ms {
            match &mut self.stage {
                Stage::Conversation(conversation) => conversation.give_up_slow_consumer(cx),
                Stage::Http(_) => cx.stats.http_responses_stalled_total += 1,
                Stage::Probe(_) => {}
            }
            self.finished = true;
            return;
        }
        let done = match &mut self.stage {
            Stage::Http(http) if self.output.is_empty() => http.on_timer(conn, cx),
            Stage::Http(http) => {
                http.postpone(cx);
                false
            }
            Stage::Conversation(conversation) => conversation.on_timer(conn, self.last_seen, cx),
            Stage::Probe(probe) => probe.on_timer(cx),
        };
        self.finished |= done;
    }

    /// After output was brought on its way: ends what only waited for that.
    pub(crate) fn finish_if_done(&mut self) {
        if !self.output.is_empty() || self.finished {
            return;
        }
        let (half, whole) = match &mut self.stage {
            Stage::Http(http) => (http.is_over(), http.is_exhausted()),
            Stage::Conversation(conversation) => {
                (conversation.is_failed(), conversation.is_closed())
            }
            Stage::Probe(probe) => (false, probe.is_closed()),
        };
        if half && let Some(stream) = &mut self.stream {
            // Closing now would reset the connection while input is unread, and destroy our last words on their way.
            stream.finish_sending();
        }
        self.finished = whole;
    }

    /// When a socket that takes nothing, or a client that does not poll, counts as dead: a conversation after the same
    /// silence as one that sends nothing, a response sooner.
    pub(super) fn stall_deadline(&self, cx: &Context) -> u64 {
        let patience = match &self.stage {
            Stage::Conversation(conversation) => {
                let times = conversation.dialect.ping_times(&cx.settings);
                times.silence_limit()
            }
            Stage::Http(_) => STALL_MS.min(cx.settings.ping_times().silence_limit()),
            Stage::Probe(_) => cx.settings.ping_times().silence_limit(),
        };
        match self.output.progress_ms() {
            Some(progress_ms) => progress_ms + patience,
            None => u64::MAX,
        }
    }
}
