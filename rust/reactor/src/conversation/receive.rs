//! What comes in: frames of a WebSocket, or packets in the body of a request, and what each leads to.

use dscore_proto::ProtocolError;
use dscore_proto::connection::MAX_LEFTOVER;
use dscore_proto::engineio;
use dscore_traffic::ConnId;
use dscore_traffic::close::{CloseFrame, CloseInfo};

use super::Conversation;
use super::hearing::Hearing;
use super::transport::Transport;
use crate::context::Context;
use crate::engineio_request::EngineIoRequest;

/// Packets of one request dealt with at a time: a body may hold half a million, and others wait.
const MAX_PACKETS: usize = 1024;

impl Conversation {
    /// Acts on `input`, after what was kept of earlier input.
    pub(crate) fn on_data(&mut self, conn: ConnId, input: &mut [u8], cx: &mut Context) {
        if self.dialect.speaks_first() && !input.is_empty() {
            self.greet(conn, None, cx);
        }
        // Nearly always nothing was kept, and messages are read where they lie.
        let Some(mut kept) = self.kept.take() else {
            let consumed = self.consume(conn, input, cx);
            self.kept = input
                .get(consumed..)
                .filter(|rest| !rest.is_empty())
                .map(|rest| Box::new(rest.to_vec()));
            return;
        };
        kept.extend_from_slice(input);
        let consumed = self.consume(conn, &mut kept, cx);
        kept.drain(..consumed);
        kept.shrink_to(MAX_LEFTOVER);
        self.kept = Some(kept).filter(|kept| !kept.is_empty());
    }

    /// Takes messages out of `input` until it is used up or an introduction must be answered first.
    fn consume(&mut self, conn: ConnId, input: &mut [u8], cx: &mut Context) -> usize {
        let mut at = 0;
        let mut packets = 0..MAX_PACKETS;
        while self.wants_read() {
            if self.transport.has_unread() && packets.next().is_none() {
                cx.requests.push_back(EngineIoRequest::GoOn(conn));
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
            Ok(Some(incoming)) => {
                let mut hearing = Hearing {
                    conn,
                    dialect: &mut self.dialect,
                    identity: &mut self.identity,
                    delivery: &mut self.delivery,
                    rtt_us: &mut self.rtt_us,
                };
                let result = hearing.on_incoming(incoming, cx);
                self.obey(result, cx);
            }
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
        let Some(mut post) = polling.post.take() else {
            return false;
        };
        let result = match engineio::next_packet(&post.body, &mut post.at, post.format) {
            _ if !is_open => None,
            Ok(None) => None,
            Ok(Some(packet)) => Some(self.hearing(conn).on_packet(packet, cx)),
            Err(error) => Some(Err(CloseFrame::violation(&error).into())),
        };
        post.is_bad |= matches!(&result, Some(Err(stop)) if stop.is_violation());
        if result.is_none() || post.is_bad {
            post.at = post.body.len();
        }
        let goes_on = result.is_some();
        if let Transport::Polling(polling) = &mut self.transport {
            polling.post = Some(post);
        }
        self.obey(result.unwrap_or(Ok(())), cx);
        goes_on
    }

    /// The peer broke the protocol; the close frame that says so begins at `from` in the output.
    fn fail(&mut self, conn: ConnId, violation: ProtocolError, from: usize, cx: &mut Context) {
        cx.stats.protocol_errors_total += 1;
        let (code, reason) = (violation.close_code(), violation.to_string());
        let close_frame = CloseFrame::new(code, reason, "protocol_error");
        let is_plain = self.identity.is_plain() && !self.identity.is_guest();
        self.end(CloseInfo::by_us(&close_frame), cx);
        let Some(closing) = self.closing_mut() else {
            return;
        };
        closing.fail();
        // A message that was whole and right is answered before the one that was not ends the connection.
        if is_plain && cx.out.len() > from {
            closing.withhold(cx.out.split_off(from));
            cx.ask_to_settle(conn);
        }
    }
}
