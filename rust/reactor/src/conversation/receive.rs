//! What comes in: frames of a WebSocket, or packets in the body of a request, and what each leads to.

use dscore_proto::ProtocolError;
use dscore_proto::connection::{Event as Incoming, MAX_LEFTOVER};
use dscore_proto::engineio::{self, Packet};
use dscore_traffic::ConnId;
use dscore_traffic::close::{CloseFrame, CloseInfo};

use super::Conversation;
use crate::agents;
use crate::context::Context;
use crate::dialect;
use crate::engine_io;
use crate::engineio_request::SessionRequest;
use crate::session::{Session, Verdict, Who};
use crate::transport::Transport;

/// Packets of one request dealt with at a time: a body may hold half a million, and others wait.
const MOST_PACKETS: usize = 1024;

impl Conversation {
    /// Acts on `input`, after what was kept of earlier input.
    pub(crate) fn on_data(&mut self, conn: ConnId, input: &mut [u8], cx: &mut Context) {
        if self.session.dialect.speaks_first() && !input.is_empty() {
            self.greet(conn, None, cx);
        }
        // Nearly always nothing was kept, and messages are read where they lie.
        if self.kept.is_empty() {
            let consumed = self.consume(conn, input, cx);
            self.kept = input.get(consumed..).unwrap_or_default().to_vec();
            return;
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.extend_from_slice(input);
        let consumed = self.consume(conn, &mut kept, cx);
        kept.drain(..consumed);
        kept.shrink_to(MAX_LEFTOVER);
        self.kept = kept;
    }

    /// Takes messages out of `input` until it is used up or an introduction must be answered first.
    fn consume(&mut self, conn: ConnId, input: &mut [u8], cx: &mut Context) -> usize {
        let mut at = 0;
        let mut packets = 0..MOST_PACKETS;
        while self.wants_read() {
            if self.transport.has_unread() && packets.next().is_none() {
                cx.requests.push_back(SessionRequest::GoOn(conn));
                break;
            }
            let goes_on = match self.transport {
                Transport::WebSocket(_) => self.consume_frames(conn, input, &mut at, cx),
                Transport::Polling(_) => self.consume_packet(conn, cx),
            };
            if !goes_on {
                break;
            }
        }
        at
    }

    /// The next event of a WebSocket. False when there is none.
    fn consume_frames(
        &mut self,
        conn: ConnId,
        input: &mut [u8],
        at: &mut usize,
        cx: &mut Context,
    ) -> bool {
        let Transport::WebSocket(connection) = &mut self.transport else {
            return false;
        };
        let (limits, before) = (cx.settings.messages, cx.out.len());
        match connection.poll_event(input, at, &limits, &mut cx.out) {
            Ok(None) => return false,
            Ok(Some(event)) => match on_event(&mut self.session, conn, event, cx) {
                Ok(verdict) => self.obey(verdict, cx),
                Err(info) => _ = self.end(info, cx),
            },
            Err(violation) => self.fail(conn, violation, before, cx),
        }
        true
    }

    /// The next packet of a request's body. False when there is none.
    fn consume_packet(&mut self, conn: ConnId, cx: &mut Context) -> bool {
        let Transport::Polling(polling) = &mut self.transport else {
            return false;
        };
        let is_open = polling.is_open();
        let Some(mut push) = polling.push.take() else {
            return false;
        };
        let verdict = match engineio::next_packet(&push.body, &mut push.at, push.format) {
            _ if !is_open => None,
            Ok(None) => None,
            // A WebSocket is closed for it; whoever polls is told (PROTOCOL.md §10).
            Ok(Some(Packet::Binary(_))) if self.session.wants_no_binary() => {
                Some(agents::refuse_binary(&mut self.session, cx))
            }
            Ok(Some(packet)) => {
                cx.stats.messages_received_total += 1;
                Some(engine_io::on_packet(&mut self.session, conn, &packet, cx))
            }
            Err(error) => Some(Verdict::violation(&error)),
        };
        push.is_bad |= verdict.as_ref().is_some_and(Verdict::is_violation);
        if verdict.is_none() || push.is_bad {
            push.at = push.body.len();
        }
        let goes_on = verdict.is_some();
        if let Transport::Polling(polling) = &mut self.transport {
            polling.push = Some(push);
        }
        self.obey(verdict.unwrap_or(Verdict::Go), cx);
        goes_on
    }

    pub(super) fn obey(&mut self, verdict: Verdict, cx: &mut Context) {
        match verdict {
            Verdict::Go => {}
            Verdict::Close(close_frame) => self.close(&close_frame, cx),
            Verdict::Left => {
                self.transport.leave(&mut cx.out);
                self.end(CloseInfo::by_peer(None, ""), cx);
            }
        }
    }

    /// The peer broke the protocol; the close frame that says so begins at `from` in the output.
    fn fail(&mut self, conn: ConnId, violation: ProtocolError, from: usize, cx: &mut Context) {
        cx.stats.protocol_errors_total += 1;
        let (code, reason) = (violation.close_code(), violation.to_string());
        let close_frame = CloseFrame::new(code, reason, "protocol_error");
        let is_plain = matches!(self.session.who, Who::Plain);
        let end = self.end(CloseInfo::by_us(&close_frame), cx);
        end.fail();
        // A message that was whole and right is answered before the one that was not ends the connection.
        if is_plain && cx.out.len() > from {
            end.withhold(cx.out.split_off(from));
            cx.ask_to_settle(conn);
        }
    }
}

/// What one event of a WebSocket leads to; `Err` is the peer's close.
fn on_event(
    session: &mut Session,
    conn: ConnId,
    event: Incoming<'_>,
    cx: &mut Context,
) -> Result<Verdict, CloseInfo> {
    match event {
        Incoming::Text(text) => {
            cx.stats.messages_received_total += 1;
            Ok(dialect::on_text(session, conn, text, cx))
        }
        Incoming::Binary(data) => {
            cx.stats.messages_received_total += 1;
            Ok(dialect::on_binary(session, conn, data, cx))
        }
        Incoming::Ping(_) => Ok(Verdict::Go),
        Incoming::Pong(payload) => {
            session.pong(payload, cx);
            Ok(Verdict::Go)
        }
        Incoming::Close { code, reason } => Err(CloseInfo::by_peer(code, reason)),
    }
}
