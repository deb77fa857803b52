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

mod close;
mod closing;
mod events;
mod hearing;
mod receive;
pub(crate) mod transport;

use dscore_proto::close::CloseCode;
use dscore_proto::connection::State;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::{OutgoingPacket, ServingState};
use dscore_traffic::{ConnId, Endpoint};

use crate::agent::delivery::Delivery;
use crate::agent::identity::Identity;
use crate::context::Context;
use crate::dialect::Dialect;
use crate::form::Form;
use crate::places::Standing;
use crate::settings::Settings;
use closing::{Ending, PlannedClose};
use hearing::{Hearing, Stop};
use transport::Transport;

/// How long an unauthenticated connection has in maintenance to ask for a watch: the round trips of a Socket.IO client
/// that polls over a slow link.
const WATCH_WITHIN_MS: u64 = 3_000;

/// One conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) transport: Transport,
    pub(crate) dialect: Dialect,
    pub(crate) identity: Identity,
    /// Input that was read and not looked at: a part of a frame, or what came after an introduction that is not
    /// answered yet. Nothing (and no allocation) nearly always.
    #[expect(
        clippy::box_collection,
        reason = "an idle conversation has no room for a vector"
    )]
    kept: Option<Box<Vec<u8>>>,
    next_ping: u64,
    ending: Option<Box<Ending>>,
    delivery: Delivery,
    /// The round trip of the last ping; 0 for none yet.
    pub(crate) rtt_us: u32,
}

impl Conversation {
    pub(crate) fn new(
        endpoint: Endpoint,
        transport: Transport,
        dialect: Dialect,
        cx: &mut Context,
    ) -> Self {
        if endpoint == Endpoint::Guest {
            cx.stats.guest_websockets += 1;
            cx.stats.guest_websockets_total += 1;
        } else {
            cx.stats.connections += 1;
        }
        cx.stats.connections_unauthenticated += u64::from(endpoint.has_agents());
        Self {
            transport,
            dialect,
            identity: Identity::new(endpoint, cx.now_ms),
            kept: None,
            next_ping: cx.now_ms + cx.settings.ping_interval,
            ending: None,
            delivery: Delivery::default(),
            rtt_us: 0,
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
        // Asked for with all that comes in, and nearly always long done.
        if self.dialect.is_to_greet() {
            let is_polling = matches!(self.transport, Transport::Polling(_));
            let (settings, out) = (&cx.settings, &mut cx.out);
            let heard = self.dialect.greet(conn, is_polling, settings, out);
            let result = self.hearing(conn).act(heard, cx);
            self.obey(result, cx);
        }
        if let Some(reason) = turned_away {
            cx.stats.refused_total += 1;
            let close_frame = CloseFrame::new(CloseCode::TRY_AGAIN_LATER, reason, "");
            self.close(&close_frame, cx);
        } else if cx.serving == ServingState::Maintenance && self.identity.is_unauthenticated() {
            self.plan_close(PlannedClose {
                at_ms: cx.now_ms + WATCH_WITHIN_MS,
                close_frame: CloseFrame::unavailable(),
                of_maintenance: true,
            });
        }
    }

    /// Whether a session that polls would yield its place.
    pub(crate) fn polling_standing(&self) -> Standing {
        if !self.identity.is_unauthenticated() || !self.is_open() {
            Standing::Kept
        } else if self.dialect.is_ready() {
            Standing::Unauthenticated
        } else {
            Standing::Unconnected
        }
    }

    /// It was let in: the close that was planned in maintenance is off.
    pub(crate) fn stay(&mut self) {
        self.take_planned(|planned| planned.of_maintenance);
    }

    /// Whether input is wanted: not while an introduction waits for its answer, or too much for the owner's attention.
    pub(crate) fn wants_read(&self) -> bool {
        !(self.identity.is_authenticating() || self.delivery.is_ahead()) || self.is_closing()
    }

    /// Neither side has begun to close.
    pub(crate) fn is_open(&self) -> bool {
        self.transport.state() == State::Open
    }

    /// Whether messages may be sent: until our close frame goes out, and as soon as they would be understood.
    pub(crate) fn takes_messages(&self) -> bool {
        (self.is_open() || self.withholds_close()) && self.dialect.is_ready()
    }

    /// The owner has had its turn: reads on, and sends the close frame that was withheld, if one was.
    pub(crate) fn release(&mut self, cx: &mut Context) {
        self.delivery.caught_up();
        if let Some(closing) = self.closing_mut() {
            closing.release(cx);
        }
    }

    /// The program's app has received what was delivered.
    pub(crate) fn read_on(&mut self) {
        self.delivery.caught_up();
    }

    /// Bytes of input that are held until the rest of it comes, its turn, or until an app receives them.
    pub(crate) fn held_input(&self) -> usize {
        let is_for_app = self.identity.is_guest() && self.is_open();
        let for_app = if is_for_app {
            self.delivery.held_for_app()
        } else {
            0
        };
        let kept = self.kept.as_ref().map_or(0, |kept| kept.capacity());
        self.transport.buffered() + kept + self.dialect.held_input() + for_app
    }

    fn kept_len(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.len())
    }

    /// True if input was read that was not looked at yet.
    pub(crate) fn has_kept(&self) -> bool {
        self.kept.is_some() || self.transport.has_unread()
    }

    /// Queues a message that is framed as it is; dropped if the closing has begun.
    pub(crate) fn send(&mut self, frame: &[u8], cx: &mut Context) {
        if self.takes_messages() {
            cx.stats.messages_sent_total += 1;
            match self.dialect.form() {
                Form::Bare => cx.out.extend_from_slice(frame),
                form => form.reframe(frame, &mut cx.out),
            }
        }
    }

    /// Answers a heartbeat.
    pub(crate) fn send_heartbeat_response(&self, cx: &mut Context) {
        if self.takes_messages() {
            cx.send_heartbeat_response(self.dialect.form());
        }
    }

    /// Queues a Socket.IO packet; dropped if the closing has begun, where that is not spoken, or if its namespace was not
    /// joined.
    pub(crate) fn send_packet(&self, packet: &OutgoingPacket, cx: &mut Context) {
        if self.is_open() && self.dialect.encode_packet(packet, &mut cx.out) {
            cx.stats.messages_sent_total += 1;
        }
    }

    /// What waits for answers has failed: nothing can be sent any more.
    pub(crate) fn fail_terminations(&mut self, why: &str) {
        if let Some(terminations) = &mut self.identity.terminations {
            terminations.fail(why);
        }
    }

    /// When something is to be done though nothing comes in.
    pub(crate) fn next_deadline(&self, last_seen: u64, settings: &Settings) -> u64 {
        if let Some(closing) = self.closing() {
            return closing.deadline;
        }
        let planned = match self.planned_close() {
            // While its wish to watch is judged, its time stands still.
            Some(planned) if planned.of_maintenance && self.identity.is_authenticating() => {
                u64::MAX
            }
            Some(planned) => planned.at_ms,
            None => u64::MAX,
        };
        let ours = self.next_ping.min(planned);
        if !self.wants_read() {
            return ours;
        }
        let times = self.dialect.ping_times(settings);
        ours.min(last_seen + times.silence_limit())
            .min(self.dialect.deadline())
            .min(
                self.identity
                    .next_deadline(self.auth_timeout(settings), settings),
            )
    }

    /// How long it may stay unauthenticated. Pages of the Socket.IO contract never introduce themselves: there that is
    /// asked only where tokens are required (PROTOCOL.md §2).
    fn auth_timeout(&self, settings: &Settings) -> u64 {
        match self.dialect {
            Dialect::EngineIo(_) if settings.introduce_by_heartbeat => u64::MAX,
            Dialect::Raw | Dialect::EngineIo(_) => settings.auth_timeout,
        }
    }

    /// Does what is due. True if the socket is to be given up.
    pub(crate) fn on_timer(&mut self, conn: ConnId, last_seen: u64, cx: &mut Context) -> bool {
        if let Some(closing) = self.closing_mut() {
            return closing.deadline <= cx.now_ms && closing.on_deadline(cx);
        }
        let is_judged = self.identity.is_authenticating();
        let is_due = |planned: &PlannedClose| {
            planned.at_ms <= cx.now_ms && !(planned.of_maintenance && is_judged)
        };
        if let Some(planned) = self.take_planned(is_due)
            && !(planned.of_maintenance && cx.serving == ServingState::Open)
        {
            cx.stats.refused_total += u64::from(planned.of_maintenance);
            self.close(&planned.close_frame, cx);
            return false;
        }
        let times = self.dialect.ping_times(&cx.settings);
        // Its silence is ours while its input is held back: only what we do goes on.
        let is_held = !self.wants_read();
        if !is_held && last_seen + times.silence_limit() <= cx.now_ms {
            return self.on_ping_timeout(cx);
        }
        if self.next_ping <= cx.now_ms {
            self.next_ping = cx.now_ms + times.interval;
            self.ping(cx);
        }
        if !is_held {
            let result = self.on_deadline(conn, cx);
            self.obey(result, cx);
        }
        false
    }

    /// Nothing was heard for too long. True if the socket is to be given up.
    fn on_ping_timeout(&mut self, cx: &mut Context) -> bool {
        cx.stats.ping_timeouts_total += 1;
        let close_frame = CloseFrame::new(CloseCode::INTERNAL, "ping timeout", "ping_timeout");
        self.close(&close_frame, cx);
        // A session without a poll will not fetch the close frame.
        let polling = self.transport.polling();
        polling.is_some_and(|polling| polling.poll.is_none())
    }

    /// What is due of the dialect, and of the identity.
    fn on_deadline(&mut self, conn: ConnId, cx: &mut Context) -> Result<(), Stop> {
        if self.dialect.deadline() <= cx.now_ms {
            let reason = "no Socket.IO CONNECT in time";
            return Err(CloseFrame::new(CloseCode::POLICY, reason, "").into());
        }
        let auth_timeout = self.auth_timeout(&cx.settings);
        let mut hearing = self.hearing(conn);
        let (identity, line) = hearing.split();
        Ok(identity.on_timer(&line, auth_timeout, cx)?)
    }

    fn ping(&mut self, cx: &mut Context) {
        match (&mut self.dialect, &mut self.transport) {
            (Dialect::EngineIo(engine), transport) => {
                let is_polling = matches!(transport, Transport::Polling(_));
                let has_pinged = engine.ping(is_polling, cx.now_us, &mut cx.out);
                cx.stats.pings_total += u64::from(has_pinged);
            }
            (Dialect::Raw, Transport::WebSocket(connection)) => {
                cx.stats.pings_total += 1;
                // The time of sending comes back in the pong: the round trip needs no memory of ours.
                let _closing_already = connection.send_ping(&cx.now_us.to_be_bytes(), &mut cx.out);
            }
            (Dialect::Raw, Transport::Polling(_)) => {}
        }
    }

    /// Handles what came before the introduction that was just accepted, in the order it came. A watcher has no say in
    /// most of it: that counts for no error, since it could not have known what would come first.
    pub(crate) fn handle_early(&mut self, conn: ConnId, cx: &mut Context) {
        let socket_io = self.dialect.socket_io();
        let early = socket_io.map_or_else(Vec::new, |socket_io| socket_io.take_early());
        if self.identity.is_watcher() {
            self.identity.forgive(early.len());
        }
        for event in early {
            if !self.is_open() {
                return;
            }
            let result = self.hearing(conn).on_early_event(event, cx);
            self.obey(result, cx);
        }
    }

    /// Input was held back for so long: no deadline came nearer by it.
    pub(crate) fn postpone(&mut self, ms: u64) {
        self.identity.postpone(ms);
        self.dialect.postpone(ms);
    }

    /// What acts on what is heard.
    fn hearing(&mut self, conn: ConnId) -> Hearing<'_> {
        Hearing {
            conn,
            dialect: &mut self.dialect,
            identity: &mut self.identity,
            delivery: &mut self.delivery,
            rtt_us: &mut self.rtt_us,
        }
    }

    #[inline]
    fn obey(&mut self, result: Result<(), Stop>, cx: &mut Context) {
        if let Err(stop) = result {
            self.stop(stop, cx);
        }
    }

    // Not `cold`: in a drain each agent comes by here.
    #[inline(never)]
    fn stop(&mut self, stop: Stop, cx: &mut Context) {
        match stop {
            Stop::Close(close_frame) => self.close(&close_frame, cx),
            Stop::Left => self.leave(cx),
            Stop::Closed(info) => self.end(info, cx),
        }
    }
}

#[cfg(test)]
mod tests;
