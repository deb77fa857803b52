//! What a peer is sent: brought to its socket, or kept until that has room, as long as it may.

use dscore_traffic::ConnId;
use dscore_traffic::event::Event;
use rustix::io::Errno;

use super::{Peer, Stage};
use crate::context::Context;
use crate::form::SharedFrames;
use crate::output::{Marks, Sending};
use crate::stream::Stream;

impl Peer {
    /// Brings `cx.out` to the socket, or as much of it as goes; the rest waits.
    pub(crate) fn transmit(&mut self, cx: &mut Context) {
        if !cx.out.is_empty() && self.takes_output() {
            let out = std::mem::take(&mut cx.out);
            let marks = self.marks(cx);
            let sending = self.output.send(self.stream.as_mut(), &out, marks, cx);
            cx.out = out;
            self.after_sending(sending, cx);
        }
        cx.out.clear();
    }

    /// Sends messages that others get as well, in one go, if this is a conversation that still takes them.
    pub(crate) fn send_shared(&mut self, frames: &mut SharedFrames, cx: &mut Context) {
        let form = match &self.stage {
            Stage::Conversation(conversation) if conversation.takes_messages() => {
                conversation.dialect.form()
            }
            _ => return,
        };
        if !self.takes_output() {
            return;
        }
        cx.stats.messages_sent_total += frames.count;
        let (frames, marks) = (frames.in_form(form), self.marks(cx));
        let sending = self
            .output
            .send_shared(self.stream.as_mut(), frames, marks, cx);
        self.after_sending(sending, cx);
    }

    /// Sends what waits, after the socket said that it has room.
    pub(crate) fn on_writable(&mut self, conn: ConnId, cx: &mut Context) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        match self.output.flush(stream, cx) {
            Ok(true) => cx.tell(Event::Drained(conn)),
            Ok(false) => {}
            Err(error) => self.break_off(error, cx),
        }
        if self.output.is_empty()
            && !self.finished
            && matches!(&self.stage, Stage::Http(http) if http.has_input())
        {
            self.on_data(conn, &mut [], cx);
        }
    }

    /// Tells, now or later, when what waits is down to low water.
    pub(crate) fn notify_when_drained(&mut self, conn: ConnId, cx: &mut Context) {
        if !self.output.notify(self.marks(cx).low) {
            cx.tell(Event::Drained(conn));
        }
    }

    /// Tells, now or later, when nothing waits: the socket has it all.
    pub(crate) fn notify_when_empty(&mut self, conn: ConnId, cx: &mut Context) {
        if !self.output.notify(0) {
            cx.tell(Event::Drained(conn));
        }
    }

    /// What waits for the socket, weighed by how long it has waited.
    pub(crate) fn burden(&self, now_ms: u64) -> u64 {
        self.output.burden(now_ms)
    }

    /// All peers together have too much waiting, and this one most of it.
    pub(crate) fn shed_output(&mut self, cx: &mut Context) {
        match &self.stage {
            Stage::Conversation(conversation) if conversation.is_open() => self.on_overflow(cx),
            // Its last words wait already, or it was being told something that ends nowhere else than at its end.
            Stage::Conversation(_) | Stage::Http(_) | Stage::Probe(_) => {
                cx.stats.slow_consumers_total += 1;
                self.finished = true;
            }
        }
    }

    fn marks(&self, cx: &Context) -> Marks {
        let high = match &self.stage {
            // A response, or a guest's message, is as long as the app made it; the app is held back by `Drained`.
            Stage::Http(_) => usize::MAX,
            Stage::Conversation(conversation) if conversation.identity.is_guest() => usize::MAX,
            Stage::Conversation(_) | Stage::Probe(_) => cx.settings.outbox_bytes,
        };
        Marks {
            high,
            low: cx.settings.outbox_bytes / 4,
        }
    }

    fn after_sending(&mut self, sending: Sending, cx: &mut Context) {
        match sending {
            Sending::Fine => {}
            Sending::Broken(error) => self.break_off(error, cx),
            Sending::Over => self.on_overflow(cx),
        }
    }

    fn takes_output(&self) -> bool {
        !self.finished && !self.stream.as_ref().is_some_and(Stream::is_cut)
    }

    /// It can be sent no more. What it said before its end lies in the socket still, an `app_terminated` perhaps: a
    /// conversation ends with the last of its input, which reading meets next.
    fn break_off(&mut self, error: Errno, cx: &mut Context) {
        match (&mut self.stage, &mut self.stream) {
            (Stage::Conversation(conversation), Some(stream)) => {
                conversation.fail_terminations(&format!("send failed: {error}"));
                stream.cut();
                std::mem::take(&mut self.output).release(cx);
            }
            _ => self.hang_up(),
        }
    }

    /// The peer does not read: what waits is dropped but for the frame on its way, and a close frame follows.
    fn on_overflow(&mut self, cx: &mut Context) {
        cx.out.clear();
        match &mut self.stage {
            Stage::Conversation(conversation) => {
                if conversation.close_slow_consumer(cx) {
                    let last_words = std::mem::take(&mut cx.out);
                    let begun = self.stream.as_ref().map_or(0, Stream::on_its_way);
                    self.output.cut_short(&last_words, begun, cx);
                }
            }
            // All that it could have been sent are pongs, and answers to probes: no client asks for so many.
            Stage::Probe(_) => self.finished = true,
            Stage::Http(_) => {}
        }
    }
}
