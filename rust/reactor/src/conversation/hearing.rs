//! What was heard, brought from the dialect to the identity: the one place where the two meet.

use dscore_proto::connection::Event as Incoming;
use dscore_proto::engineio::Packet;
use dscore_traffic::ConnId;
use dscore_traffic::close::{CloseFrame, CloseInfo};
use dscore_traffic::event::{Connected, Event, GuestMessage, Message};

use crate::agent::delivery::Delivery;
use crate::agent::identity::Identity;
use crate::agent::line::Line;
use crate::agent::messages;
use crate::context::Context;
use crate::dialect::Dialect;
use crate::dialect::heard::Heard;

/// Why a conversation does not go on.
#[derive(Debug, PartialEq)]
pub(super) enum Stop {
    /// It is to be closed.
    Close(CloseFrame),
    /// The peer has ended it, in its dialect.
    Left,
    /// The peer's close frame has come, and was answered.
    Closed(CloseInfo),
}

impl From<CloseFrame> for Stop {
    fn from(close_frame: CloseFrame) -> Self {
        Self::Close(close_frame)
    }
}

impl Stop {
    /// Whether the peer broke the rules of its dialect.
    pub(super) fn is_violation(&self) -> bool {
        matches!(self, Self::Close(close_frame) if close_frame.is_violation())
    }
}

/// A conversation without its transport, in whose buffer the message lies that is acted on.
pub(super) struct Hearing<'c> {
    pub(super) conn: ConnId,
    pub(super) dialect: &'c mut Dialect,
    pub(super) identity: &'c mut Identity,
    pub(super) delivery: &'c mut Delivery,
    pub(super) rtt_us: &'c mut u32,
}

impl Hearing<'_> {
    /// The identity, and the connection as it must know it.
    pub(super) fn split(&mut self) -> (&mut Identity, Line<'_>) {
        let line = Line {
            conn: self.conn,
            form: self.dialect.form(),
            has_token: self.dialect.has_token(),
            delivery: self.delivery,
        };
        (self.identity, line)
    }

    /// One event of a WebSocket.
    pub(super) fn on_incoming(
        &mut self,
        incoming: Incoming<'_>,
        cx: &mut Context,
    ) -> Result<(), Stop> {
        match incoming {
            Incoming::Text(text) => {
                cx.stats.messages_received_total += 1;
                match self.dialect.hear_text(text, &cx.settings, &mut cx.out)? {
                    // Nearly always: not carried through all that else may be heard.
                    Heard::Text(text) => self.on_text(text, cx),
                    heard => self.act(heard, cx),
                }
            }
            Incoming::Binary(data) => {
                cx.stats.messages_received_total += 1;
                let heard = self.dialect.hear_binary(data, &cx.settings, &mut cx.out)?;
                self.act(heard, cx)
            }
            Incoming::Ping(_) => Ok(()),
            Incoming::Pong(payload) => {
                self.on_pong(payload, cx);
                Ok(())
            }
            Incoming::Close { code, reason } => Err(Stop::Closed(CloseInfo::by_peer(code, reason))),
        }
    }

    /// One packet of a session that polls.
    pub(super) fn on_packet(&mut self, packet: Packet<'_>, cx: &mut Context) -> Result<(), Stop> {
        let is_binary = matches!(packet, Packet::Binary(_));
        if is_binary && !self.identity.is_plain() && !self.dialect.expects_binary() {
            // A WebSocket is closed for it; a session that polls is told (PROTOCOL.md §10).
            let (identity, mut line) = self.split();
            return Ok(messages::refuse_binary(identity, &mut line, cx)?);
        }
        cx.stats.messages_received_total += 1;
        let heard = self
            .dialect
            .hear_packet(packet, &cx.settings, &mut cx.out)?;
        self.act(heard, cx)
    }

    pub(super) fn act(&mut self, heard: Heard<'_>, cx: &mut Context) -> Result<(), Stop> {
        match heard {
            Heard::Nothing => Ok(()),
            Heard::Text(text) => self.on_text(text, cx),
            Heard::Binary(data) => self.on_binary(&data, cx),
            Heard::Event(event) => self.on_event(event, cx),
            Heard::Joined { namespace, auth } => {
                cx.tell(Event::Connected(Box::new(Connected {
                    conn: self.conn,
                    namespace: namespace.into(),
                    auth: auth.as_bytes().into(),
                })));
                self.delivery.count(self.conn, auth.len(), cx);
                Ok(())
            }
            Heard::Left { namespace, is_last } => self.on_left(namespace, is_last, cx),
            Heard::Ack(ack) => self.on_ack(ack, cx),
            Heard::Pong { sent_us } => {
                self.measure_round_trip(sent_us, cx);
                Ok(())
            }
            Heard::Refused => Ok(self.identity.count_error(cx)?),
            Heard::End => Err(Stop::Left),
        }
    }

    #[inline]
    fn on_text(&mut self, text: &str, cx: &mut Context) -> Result<(), Stop> {
        if self.identity.is_plain() {
            self.deliver_bare(text.as_bytes(), false, cx);
            return Ok(());
        }
        let (identity, mut line) = self.split();
        Ok(messages::on_text(identity, &mut line, text, &mut None, cx)?)
    }

    fn on_binary(&mut self, data: &[u8], cx: &mut Context) -> Result<(), Stop> {
        if !self.identity.is_plain() {
            return Err(CloseFrame::text_only().into());
        }
        self.deliver_bare(data, true, cx);
        Ok(())
    }

    fn deliver_bare(&mut self, data: &[u8], binary: bool, cx: &mut Context) {
        if self.identity.is_guest() {
            let is_last = self.delivery.count_for_app(data.len(), cx);
            cx.tell(Event::GuestMessage(Box::new(GuestMessage {
                conn: self.conn,
                data: data.into(),
                binary,
                is_last,
            })));
            return;
        }
        cx.tell(Event::Message(Box::new(Message {
            conn: self.conn,
            kind: "".into(),
            data: data.into(),
            binary,
            parts: None,
        })));
        self.delivery.count(self.conn, data.len(), cx);
    }

    /// A pong came. What it carries is the time of the ping, unless the peer made it up: a time to come is no answer.
    fn on_pong(&mut self, payload: &[u8], cx: &mut Context) {
        if let Ok(sent_us) = payload.try_into().map(u64::from_be_bytes) {
            self.measure_round_trip(sent_us, cx);
        }
    }

    /// What was sent at `sent_us` was answered just now.
    fn measure_round_trip(&mut self, sent_us: u64, cx: &mut Context) {
        if let Some(rtt_us) = cx.now_us.checked_sub(sent_us) {
            *self.rtt_us = u32::try_from(rtt_us).unwrap_or(u32::MAX).max(1);
            cx.stats.count_round_trip(u64::from(*self.rtt_us));
        }
    }
}
