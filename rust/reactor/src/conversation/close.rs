//! How a conversation is closed: by us, by the peer, or because it broke.

use dscore_proto::close::CloseCode;
use dscore_proto::connection::{MAX_LEFTOVER, State};
use dscore_traffic::ConnId;
use dscore_traffic::close::{CloseFrame, CloseInfo, Initiator};
use dscore_traffic::event::{Closed, Event, GuestClosed};

use super::Conversation;
use super::closing::{Closing, Ending, PlannedClose};
use super::transport::{Polling, Transport};
use crate::context::Context;

/// The `reason_code` of a peer that does not read.
const SLOW_CONSUMER: &str = "slow_consumer";

impl Conversation {
    /// All peers together hold too much input.
    pub(crate) fn turn_away(&mut self, cx: &mut Context) {
        if self.is_open() {
            cx.stats.refused_total += 1;
            let reason = "too many unfinished messages";
            self.close(&CloseFrame::new(CloseCode::TRY_AGAIN_LATER, reason, ""), cx);
        }
    }

    /// Begins the closing handshake, unless it has begun.
    pub(crate) fn close(&mut self, close_frame: &CloseFrame, cx: &mut Context) {
        if !self.is_open() {
            return;
        }
        if close_frame.is_for_good() {
            // A client library does not come back by itself after it.
            self.dialect.say_goodbye(&mut cx.out);
        }
        let _is_open = self
            .transport
            .close(close_frame.code, &close_frame.reason, &mut cx.out);
        self.end(CloseInfo::by_us(close_frame), cx);
    }

    /// Says on a transport that is new what was said on the last one: that the conversation is over.
    pub(crate) fn repeat_close(&mut self, cx: &mut Context) {
        let Some(Ending::Closing(closing)) = self.ending.as_deref() else {
            return;
        };
        let code = CloseCode::new(closing.info.code).unwrap_or(CloseCode::NORMAL);
        let _is_open = self
            .transport
            .close(code, &closing.info.reason, &mut cx.out);
    }

    /// Closes at `at_ms`, or now if that has come.
    pub(crate) fn close_at(&mut self, at_ms: u64, close_frame: &CloseFrame, cx: &mut Context) {
        if at_ms <= cx.now_ms {
            self.close(close_frame, cx);
        } else if self.is_open() {
            self.plan_close(PlannedClose {
                at_ms,
                close_frame: close_frame.clone(),
                of_maintenance: false,
            });
        }
    }

    /// Queues a close frame for a peer that does not read. False if the closing has begun already.
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
        cx.stats.slow_consumers_total += u64::from(!self.is_closing());
        self.end(
            CloseInfo::without_close(Initiator::Server, SLOW_CONSUMER),
            cx,
        );
    }

    /// Both close frames went their ways: nothing is left to do once output is sent.
    pub(crate) fn is_closed(&self) -> bool {
        self.transport.state() == State::Closed && !self.is_failed() && !self.withholds_close()
    }

    /// The peer broke the protocol and was told so.
    pub(crate) fn is_failed(&self) -> bool {
        self.closing().is_some_and(Closing::has_failed)
    }

    pub(super) fn withholds_close(&self) -> bool {
        self.closing().is_some_and(Closing::withholds)
    }

    /// The last words about this connection: outcomes of what still waited, then its closing. Returns what was known of a
    /// session that polled.
    pub(crate) fn conclude(mut self, conn: ConnId, cx: &mut Context) -> Option<Box<Polling>> {
        if let Some(mut terminations) = self.identity.terminations.take() {
            terminations.vanish(conn, cx);
        }
        let is_guest = self.identity.is_guest();
        if is_guest {
            cx.stats.guest_websockets -= 1;
        } else {
            cx.stats.connections -= 1;
        }
        cx.stats.connections_unauthenticated -= u64::from(self.identity.is_unauthenticated());
        let (info, answer) = match self.ending.map(|ending| *ending) {
            Some(Ending::Closing(closing)) => (closing.info, closing.answer),
            Some(Ending::Planned(_)) | None => {
                (CloseInfo::without_close(Initiator::Network, ""), 0)
            }
        };
        if is_guest {
            cx.tell(Event::GuestClosed(Box::new(GuestClosed { conn, info })));
            return None;
        }
        let closed = Closed {
            conn,
            info,
            answer,
            heartbeat_ms: self.identity.last_heartbeat,
            rtt_us: self.rtt_us,
        };
        cx.tell(Event::Closed(Box::new(closed)));
        match self.transport {
            Transport::WebSocket(_) => None,
            Transport::Polling(polling) => Some(polling),
        }
    }

    /// What was kept for later though there is no later: input behind an introduction or a flood, packets of a request.
    pub(crate) fn keeps_in_vain(&self) -> bool {
        self.is_closing() && (self.kept_len() > MAX_LEFTOVER || self.transport.has_unread())
    }

    /// The request with packets that is still coming in for a session that has ended, once.
    pub(crate) fn late_request(&mut self) -> Option<ConnId> {
        self.closing()?;
        let polling = self.transport.polling()?;
        let is_news = !std::mem::replace(&mut polling.is_late, polling.coming.is_some());
        polling.coming.filter(|_| is_news)
    }

    /// It ends this way, if it was not ending before.
    pub(super) fn end(&mut self, info: CloseInfo, cx: &Context) {
        self.dialect.drop_input();
        match self.closing_mut() {
            Some(closing) => closing.hear(&info),
            None => self.ending = Some(Box::new(Ending::Closing(Closing::new(info, cx)))),
        }
    }

    /// It is to be closed, unless it is closing.
    pub(super) fn plan_close(&mut self, planned: PlannedClose) {
        if !self.is_closing() {
            self.ending = Some(Box::new(Ending::Planned(planned)));
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing().is_some()
    }

    pub(super) fn closing(&self) -> Option<&Closing> {
        match self.ending.as_deref() {
            Some(Ending::Closing(closing)) => Some(closing),
            Some(Ending::Planned(_)) | None => None,
        }
    }

    pub(super) fn closing_mut(&mut self) -> Option<&mut Closing> {
        match self.ending.as_deref_mut() {
            Some(Ending::Closing(closing)) => Some(closing),
            Some(Ending::Planned(_)) | None => None,
        }
    }

    pub(super) fn planned_close(&self) -> Option<&PlannedClose> {
        match self.ending.as_deref() {
            Some(Ending::Planned(planned)) => Some(planned),
            Some(Ending::Closing(_)) | None => None,
        }
    }

    /// Takes the close that is planned, if it is one of those.
    pub(super) fn take_planned(
        &mut self,
        is_one: impl FnOnce(&PlannedClose) -> bool,
    ) -> Option<PlannedClose> {
        let ending = self
            .ending
            .take_if(|ending| matches!(&**ending, Ending::Planned(planned) if is_one(planned)))?;
        match *ending {
            Ending::Planned(planned) => Some(planned),
            Ending::Closing(_) => None,
        }
    }

    /// The peer has ended it, in its dialect.
    pub(super) fn leave(&mut self, cx: &mut Context) {
        self.transport.leave(&mut cx.out);
        self.end(CloseInfo::by_peer(None, ""), cx);
    }
}
