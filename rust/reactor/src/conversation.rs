//! A conversation with one peer: what carries it, who is there, and every deadline that follows from that.
//!
//! What a message means is in [`crate::dialect`] and behind it. This file knows how a conversation lives and ends:
//!
//! | phase | we close | they close | they break the protocol | owner is done | deadline |
//! |---|---|---|---|---|---|
//! | open | closing | closed | failed, or withholding | open | closing |
//! | closing | closing | closed | failed | closing | given up |
//! | withholding | withholding | withholding | withholding | failed | failed |
//! | failed | failed | failed | failed | failed | given up |
//!
//! One that has failed was told so and is shut for sending; its input is only waited out. On a plain endpoint the close
//! frame that says so is withheld until the owner has answered what came before. Closed means that nothing is left but
//! output; the peer that holds this then ends. A polling session is closed as soon as we have closed it, and ends when a
//! poll has fetched what was still to be said.

mod receive;

use dscore_proto::close::CloseCode;
use dscore_proto::connection::{MAX_LEFTOVER, State};
use dscore_traffic::close::{CloseFrame, CloseInfo, Initiator};
use dscore_traffic::command::ServingState;
use dscore_traffic::event::{Closed, Event};
use dscore_traffic::{ConnId, Endpoint};

use crate::context::Context;
use crate::dialect::{Dialect, Form};
use crate::end::End;
use crate::engine_io;
use crate::places::Standing;
use crate::session::Session;
use crate::settings::Settings;
use crate::socket_io::early;
use crate::transport::{Polling, Transport};

/// How long an unauthenticated connection has in maintenance to ask for a watch: the round trips of a Socket.IO client
/// that polls over a slow link.
const WATCH_WITHIN_MS: u64 = 3_000;

/// The `reason_code` of one that does not read.
const SLOW_CONSUMER: &str = "slow_consumer";

/// One conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) transport: Transport,
    pub(crate) session: Session,
    /// Input that was read and not looked at: a part of a frame, or what came after an introduction that is not
    /// answered yet.
    kept: Vec<u8>,
    next_ping: u64,
    /// A close that is to come.
    planned: Option<Box<PlannedClose>>,
    end: Option<Box<End>>,
}

/// A close that is to come.
#[derive(Debug)]
struct PlannedClose {
    at_ms: u64,
    close_frame: CloseFrame,
    /// Not for one that is let in first, nor once maintenance is over.
    of_maintenance: bool,
}

impl Conversation {
    pub(crate) fn new(
        endpoint: Endpoint,
        transport: Transport,
        dialect: Dialect,
        cx: &mut Context,
    ) -> Self {
        cx.stats.connections += 1;
        cx.stats.connections_unauthenticated += u64::from(endpoint.has_agents());
        Self {
            transport,
            session: Session::new(endpoint, dialect, cx.now_ms),
            kept: Vec::new(),
            next_ping: cx.now_ms + cx.settings.ping_interval,
            planned: None,
            end: None,
        }
    }

    /// What the dialect says before anything else; and at once a close frame to one who is turned away. In maintenance a
    /// watcher may still come in: who it is shows in what it says.
    pub(crate) fn greet(
        &mut self,
        conn: ConnId,
        turned_away: Option<&'static str>,
        cx: &mut Context,
    ) {
        let is_polling = matches!(self.transport, Transport::Polling(_));
        engine_io::greet(&mut self.session, conn, is_polling, cx);
        if let Some(reason) = turned_away {
            cx.stats.refused_total += 1;
            let close_frame = CloseFrame::new(CloseCode::TRY_AGAIN_LATER, reason, "");
            self.close(&close_frame, cx);
        } else if cx.serving == ServingState::Maintenance && self.session.is_stranger() {
            self.planned = Some(Box::new(PlannedClose {
                at_ms: cx.now_ms + WATCH_WITHIN_MS,
                close_frame: CloseFrame::unavailable(),
                of_maintenance: true,
            }));
        }
    }

    /// Whether a session that polls would yield its place.
    pub(crate) fn polling_standing(&self) -> Standing {
        if !self.session.is_stranger() || !self.is_open() {
            Standing::Kept
        } else if self.session.dialect.is_ready() {
            Standing::Unauthenticated
        } else {
            Standing::Unconnected
        }
    }

    /// It was let in: the close that was planned in maintenance is off.
    pub(crate) fn stay(&mut self) {
        self.planned.take_if(|planned| planned.of_maintenance);
    }

    /// Whether input is wanted: not while an introduction waits for its answer, or too much for the owner's attention.
    pub(crate) fn wants_read(&self) -> bool {
        !(self.session.is_asking() || self.session.is_ahead()) || self.end.is_some()
    }

    /// Neither side has begun to close.
    pub(crate) fn is_open(&self) -> bool {
        self.transport.state() == State::Open
    }

    /// Both close frames went their ways: nothing is left to do once output is sent.
    pub(crate) fn is_closed(&self) -> bool {
        self.transport.state() == State::Closed && !self.is_failed() && !self.withholds_close()
    }

    /// The peer broke the protocol and was told so.
    pub(crate) fn is_failed(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.has_failed())
    }

    /// Whether messages may be sent: until our close frame goes out, and as soon as they would be understood.
    pub(crate) fn takes_messages(&self) -> bool {
        (self.is_open() || self.withholds_close()) && self.session.dialect.is_ready()
    }

    fn withholds_close(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.withholds())
    }

    /// The owner has had its turn: reads on, and sends the close frame that was withheld, if one was.
    pub(crate) fn release(&mut self, cx: &mut Context) {
        self.session.caught_up();
        if let Some(end) = &mut self.end {
            end.release(cx);
        }
    }

    /// Bytes of input that are held until the rest of it comes, or its turn.
    pub(crate) fn held_input(&self) -> usize {
        self.transport.buffered() + self.kept.capacity() + self.session.dialect.held_input()
    }

    /// All peers together hold too much input.
    pub(crate) fn turn_away(&mut self, cx: &mut Context) {
        if self.is_open() {
            cx.stats.refused_total += 1;
            let reason = "too many unfinished messages";
            self.close(&CloseFrame::new(CloseCode::TRY_AGAIN_LATER, reason, ""), cx);
        }
    }

    /// True if input was read that nobody looked at yet.
    pub(crate) fn has_kept(&self) -> bool {
        !self.kept.is_empty() || self.transport.has_unread()
    }

    /// Begins the closing handshake, unless it has begun.
    pub(crate) fn close(&mut self, close_frame: &CloseFrame, cx: &mut Context) {
        if !self.is_open() {
            return;
        }
        if let Dialect::EngineIo(engine) = &self.session.dialect
            && close_frame.is_for_good()
        {
            // A client library does not come back by itself after it.
            engine.say_goodbye(cx);
        }
        let _is_open = self
            .transport
            .close(close_frame.code, &close_frame.reason, &mut cx.out);
        self.end(CloseInfo::by_us(close_frame), cx);
    }

    /// Says on a transport that is new what was said on the last one: that the conversation is over.
    pub(crate) fn repeat_close(&mut self, cx: &mut Context) {
        let Some(end) = &self.end else {
            return;
        };
        let code = CloseCode::new(end.info.code).unwrap_or(CloseCode::NORMAL);
        let _is_open = self.transport.close(code, &end.info.reason, &mut cx.out);
    }

    /// Closes at `at_ms`, or now if that has come.
    pub(crate) fn close_at(&mut self, at_ms: u64, close_frame: &CloseFrame, cx: &mut Context) {
        if at_ms <= cx.now_ms {
            self.close(close_frame, cx);
        } else if self.is_open() {
            self.planned = Some(Box::new(PlannedClose {
                at_ms,
                close_frame: close_frame.clone(),
                of_maintenance: false,
            }));
        }
    }

    /// Queues a close frame for one who does not read. False if the closing has begun already.
    pub(crate) fn close_slow_consumer(&mut self, cx: &mut Context) -> bool {
        if !self.is_open() {
            return false;
        }
        cx.stats.slow_consumers_total += 1;
        self.fail_terminations("slow consumer");
        let close_frame =
            CloseFrame::new(CloseCode::TRY_AGAIN_LATER, "slow consumer", SLOW_CONSUMER);
        self.close(&close_frame, cx);
        true
    }

    /// The socket takes nothing any more and is given up, without a closing handshake.
    pub(crate) fn give_up_slow_consumer(&mut self, cx: &mut Context) {
        // One that is closing was counted when that began, if this was why.
        cx.stats.slow_consumers_total += u64::from(self.end.is_none());
        self.end(
            CloseInfo::without_close(Initiator::Server, SLOW_CONSUMER),
            cx,
        );
    }

    /// Queues a message that is framed as it is; dropped if the closing has begun.
    pub(crate) fn send(&mut self, frame: &[u8], cx: &mut Context) {
        if self.takes_messages() {
            cx.stats.messages_sent_total += 1;
            match self.session.dialect.form() {
                Form::Bare => cx.out.extend_from_slice(frame),
                form => form.reframe(frame, &mut cx.out),
            }
        }
    }

    /// What waits for answers has failed: nothing can be sent any more.
    pub(crate) fn fail_terminations(&mut self, why: &str) {
        if let Some(terminations) = &mut self.session.terminations {
            terminations.fail(why);
        }
    }

    /// The last words about this connection: outcomes of what still waited, then its end. Returns what was known of a
    /// session that polled.
    pub(crate) fn bury(mut self, conn: ConnId, cx: &mut Context) -> Option<Box<Polling>> {
        if let Some(mut terminations) = self.session.terminations.take() {
            terminations.vanish(conn, cx);
        }
        cx.stats.connections -= 1;
        cx.stats.connections_unauthenticated -= u64::from(self.session.is_stranger());
        let (info, answer) = match self.end {
            Some(end) => (end.info, end.answer),
            None => (CloseInfo::without_close(Initiator::Network, ""), 0),
        };
        let closed = Closed {
            info,
            answer,
            heartbeat_ms: self.session.last_heartbeat,
            rtt_us: self.session.rtt_us,
        };
        cx.tell(Event::Closed(conn, Box::new(closed)));
        match self.transport {
            Transport::WebSocket(_) => None,
            Transport::Polling(polling) => Some(polling),
        }
    }

    /// When something is to be done though nothing comes in.
    pub(crate) fn next_deadline(&self, last_seen: u64, settings: &Settings) -> u64 {
        if let Some(end) = &self.end {
            return end.deadline;
        }
        let planned = match &self.planned {
            // While its wish to watch is judged, its time stands still.
            Some(planned) if planned.of_maintenance && self.session.is_asking() => u64::MAX,
            Some(planned) => planned.at_ms,
            None => u64::MAX,
        };
        let ours = self.next_ping.min(planned);
        if !self.wants_read() {
            return ours;
        }
        let times = self.session.dialect.ping_times(settings);
        ours.min(last_seen + times.silence_limit())
            .min(self.session.next_deadline(settings))
    }

    /// Does what is due. True if the socket is to be given up.
    pub(crate) fn on_timer(&mut self, conn: ConnId, last_seen: u64, cx: &mut Context) -> bool {
        if let Some(end) = &mut self.end {
            if end.deadline > cx.now_ms {
                return false;
            }
            return end.on_deadline(cx);
        }
        let is_asking = self.session.is_asking();
        let due = |planned: &mut Box<PlannedClose>| {
            planned.at_ms <= cx.now_ms && !(planned.of_maintenance && is_asking)
        };
        if let Some(planned) = self.planned.take_if(due)
            && !(planned.of_maintenance && cx.serving == ServingState::Open)
        {
            cx.stats.refused_total += u64::from(planned.of_maintenance);
            self.close(&planned.close_frame, cx);
            return false;
        }
        let times = self.session.dialect.ping_times(&cx.settings);
        // Its silence is ours while its input is held back: only what we do goes on.
        let is_held = !self.wants_read();
        if !is_held && last_seen + times.silence_limit() <= cx.now_ms {
            cx.stats.ping_timeouts_total += 1;
            self.close(
                &CloseFrame::new(CloseCode::INTERNAL, "ping timeout", "ping_timeout"),
                cx,
            );
            // Of a session that nobody polls nobody will fetch the news.
            return self
                .transport
                .polling()
                .is_some_and(|polling| polling.poll.is_none());
        }
        if self.next_ping <= cx.now_ms {
            self.next_ping = cx.now_ms + times.interval;
            self.ping(cx);
        }
        if !is_held {
            let verdict = self.session.on_timer(conn, cx);
            self.obey(verdict, cx);
        }
        false
    }

    fn ping(&mut self, cx: &mut Context) {
        match (&mut self.session.dialect, &mut self.transport) {
            (Dialect::EngineIo(engine), transport) => {
                engine.ping(matches!(transport, Transport::Polling(_)), cx);
            }
            (Dialect::Raw, Transport::WebSocket(connection)) => {
                cx.stats.pings_total += 1;
                // The time of sending comes back in the pong: the round trip needs no memory of ours.
                let _closing_already = connection.send_ping(&cx.now_us.to_be_bytes(), &mut cx.out);
            }
            (Dialect::Raw, Transport::Polling(_)) => {}
        }
    }

    /// Handles what came before the introduction that was just accepted, in the order it came.
    pub(crate) fn handle_early(&mut self, conn: ConnId, cx: &mut Context) {
        for event in early::take(&mut self.session) {
            if !self.is_open() {
                return;
            }
            let verdict = early::handle(&mut self.session, conn, event, cx);
            self.obey(verdict, cx);
        }
    }

    /// What was kept for later though there is no later: input behind an introduction or a flood, packets of a request.
    pub(crate) fn keeps_in_vain(&self) -> bool {
        self.end.is_some() && (self.kept.len() > MAX_LEFTOVER || self.transport.has_unread())
    }

    /// The request with packets that is still coming in for a session that has ended, once.
    pub(crate) fn late_request(&mut self) -> Option<ConnId> {
        self.end.as_ref()?;
        let polling = self.transport.polling()?;
        let is_news = !std::mem::replace(&mut polling.is_late, polling.coming.is_some());
        polling.coming.filter(|_| is_news)
    }

    fn end(&mut self, info: CloseInfo, cx: &Context) -> &mut End {
        self.session.dialect.drop_input();
        if let Some(end) = &mut self.end {
            end.hear(&info);
        }
        self.end.get_or_insert_with(|| Box::new(End::new(info, cx)))
    }
}

#[cfg(test)]
mod tests;
