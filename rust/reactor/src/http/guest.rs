//! WebSockets of the program's own app: an upgrade on a path that is no endpoint.
//!
//! The handshake is checked and the app is asked, with `handshake_timeout` to answer (504 then): by accepting, or with any
//! response. Which pages may come is the app's to say, by their Origin, as for its requests. A client that leaves meanwhile
//! is told of as one of a request is. In a drain, and where its address has too many connections already, an upgrade is
//! accepted without the app and closed 1013, as everywhere: a refused one would read as 1006 in a browser.

use dscore_proto::connection::{Connection, Role};
use dscore_proto::handshake;
use dscore_proto::http::Head;
use dscore_traffic::command::{AcceptUpgrade, ServingState};
use dscore_traffic::event::Event;
use dscore_traffic::{ConnId, Endpoint};

use super::dispatch::FIELD_COST;
use super::peer::{Asked, Became, HttpPeer, State, Step};
use crate::context::Context;
use crate::conversation::Conversation;
use crate::conversation::transport::Transport;
use crate::dialect::Dialect;

impl HttpPeer {
    /// An upgrade whose head takes so many bytes.
    pub(super) fn on_guest_upgrade(
        &mut self,
        conn: ConnId,
        head: &Head<'_>,
        length: usize,
        cx: &mut Context,
    ) -> Step {
        let offer = match handshake::offer(head) {
            Ok(offer) => offer,
            Err(error) => {
                cx.stats.handshake_failures_total += 1;
                self.refuse(error.status(), &error.to_string(), cx);
                return Step::Consumed(length);
            }
        };
        if let Some(step) = self.wait_for_turn(conn, length, cx) {
            return step;
        }
        let mut request = self.request_of(conn, head, cx);
        self.count_address(conn, request.ends.peer.ip(), cx);
        if self.is_address_full || cx.serving == ServingState::Draining {
            let first = offer.subprotocols.first().map(String::as_str);
            let _no_fields_of_ours = offer.encode(first, &[], &mut cx.out);
            return Step::Upgraded(length, conversation(cx));
        }
        self.wait_for_answer(self.exchange_of(head), Asked::App);
        self.asked_bytes = length + FIELD_COST * head.headers.len();
        self.deadline = cx.now_ms + cx.settings.handshake_timeout;
        cx.stats.http_requests_total += 1;
        request.upgrade = Some(offer.subprotocols.clone());
        self.upgrade = Some(Box::new(offer));
        cx.tell(Event::HttpRequest(Box::new(request)));
        Step::Consumed(length)
    }

    /// The app has accepted; what this is from here on, unless it is too late.
    pub(crate) fn accept_upgrade(
        &mut self,
        conn: ConnId,
        accept: &AcceptUpgrade,
        cx: &mut Context,
    ) -> Option<Became> {
        if !matches!(self.state, State::Asked(..)) {
            return None;
        }
        let offer = self.upgrade.take()?;
        let subprotocol = accept.subprotocol.as_deref();
        if let Err(error) = offer.encode(subprotocol, &accept.headers, &mut cx.out) {
            self.abandon(conn, 500, &error.to_string(), cx);
            return None;
        }
        let input = self.take_input();
        Some(self.become_websocket(conversation(cx), &input, cx))
    }
}

fn conversation(cx: &mut Context) -> Conversation {
    let transport = Transport::WebSocket(Connection::new(Role::Server));
    Conversation::new(Endpoint::Guest, transport, Dialect::Raw, cx)
}

#[cfg(test)]
mod tests;
