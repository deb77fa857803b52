//! The upgrade: what it takes for an HTTP connection to become a WebSocket.

use std::net::IpAddr;

use dscore_proto::connection::{Connection, Role};
use dscore_proto::engineio::{HandshakeError, Query, Revision};
use dscore_proto::handshake::{self, UpgradeRules};
use dscore_proto::http::{BodyKind, Head, WEBSOCKET_METHODS};
use dscore_traffic::command::{Response, ServingState};
use dscore_traffic::event::{Event, Opened, TransportKind};
use dscore_traffic::{ConnId, Endpoint};

use super::answer::Exchange;
use super::peer::{Asked, HttpPeer, Step};
use crate::context::Context;
use crate::conversation::Conversation;
use crate::conversation::transport::Transport;
use crate::dialect::Dialect;
use crate::dialect::sid::Sid;
use crate::engineio_request::{self, EngineIoRequest};
use crate::settings::Settings;

/// The close reason where `limits.connections_per_address` is reached.
const ADDRESS_FULL: &str = "Too many connections from this address";

/// Room for the answer to a handshake, if it names no long subprotocol.
const ANSWER: usize = 192;

impl HttpPeer {
    /// The answer to a WebSocket's handshake; one that is bad is refused.
    pub(super) fn accept(&mut self, head: &Head<'_>, cx: &mut Context) -> Option<Vec<u8>> {
        let rules = UpgradeRules {
            origins: &cx.settings.origins,
            local: self.ends.local,
            check_host: cx.settings.check_host,
            subprotocols: &cx.settings.subprotocols,
        };
        match handshake::accept(head, &rules) {
            Ok(accept) => {
                let mut answer = Vec::with_capacity(ANSWER);
                accept.encode(&mut answer);
                Some(answer)
            }
            Err(error) => {
                cx.stats.handshake_failures_total += 1;
                self.refuse(error.status(), &error.to_string(), cx);
                None
            }
        }
    }

    /// The answer to OPTIONS (RFC 9110 §9.3.7).
    pub(super) fn tell_methods(&mut self, head: &Head<'_>, endpoint: Endpoint, cx: &mut Context) {
        let has_content = !matches!(head.body(), Ok(BodyKind::None | BodyKind::Length(0)));
        let exchange = Exchange {
            keep_alive: head.keep_alive() && !self.over_limit && !has_content,
            head_only: false,
            version: head.version,
        };
        self.wait_for_answer(exchange, Asked::Session(endpoint));
        let response = Response {
            status: 204,
            headers: vec![(b"allow".into(), WEBSOCKET_METHODS.into())],
            body: Vec::new(),
            more: false,
            notify: false,
        };
        self.respond(&response, cx);
    }

    /// A conversation on the WebSocket that this becomes.
    pub(super) fn open(
        &mut self,
        conn: ConnId,
        head: &Head<'_>,
        endpoint: Endpoint,
        dialect: Dialect,
        cx: &mut Context,
    ) -> Conversation {
        let peer = self.ends_of(head, cx).peer;
        self.count_address(conn, peer.ip(), cx);
        let transport = Transport::WebSocket(Connection::new(Role::Server));
        let websocket = Conversation::new(endpoint, transport, dialect, cx);
        cx.tell(Event::Opened(Box::new(Opened {
            conn,
            endpoint,
            transport: TransportKind::WebSocket,
            path: head.path().into(),
            peer,
            certificate_names: self.certificate_names.clone(),
            bearer: head.header("authorization").and_then(bearer),
        })));
        websocket
    }

    /// One conversation more of this address, if it may have that.
    pub(super) fn count_address(&mut self, conn: ConnId, address: IpAddr, cx: &mut Context) {
        // An upgrade that the guest refused may have been counted.
        cx.release_address(conn);
        self.is_address_full = !cx.take_address(address);
        if !self.is_address_full {
            cx.hold_address(conn, address);
        }
    }

    /// A WebSocket for Engine.IO: a session of its own, or one to take over a session that polls.
    pub(super) fn upgrade_engine_io(
        &mut self,
        conn: ConnId,
        head: &Head<'_>,
        length: usize,
        endpoint: Endpoint,
        cx: &mut Context,
    ) -> Step {
        let exchange = Exchange {
            keep_alive: false,
            head_only: false,
            version: head.version,
        };
        let query = Query::of(head.target);
        let revision = match websocket_revision(&query, &cx.settings) {
            Ok(revision) => revision,
            Err(error) => {
                cx.stats.handshake_failures_total += 1;
                self.wait_for_answer(exchange, Asked::Session(endpoint));
                let refusal = engineio_request::refusal(error, Vec::new(), &mut cx.stats);
                self.respond(&refusal, cx);
                return Step::Consumed(length);
            }
        };
        let Some(accept) = self.accept(head, cx) else {
            return Step::Consumed(length);
        };
        let Some(sid) = query.sid else {
            if let Some(step) = self.wait_for_turn(conn, length, cx) {
                return step;
            }
            cx.out.extend_from_slice(&accept);
            let dialect = Dialect::new(endpoint, revision, cx.now_ms, &cx.settings);
            return Step::Upgraded(length, self.open(conn, head, endpoint, dialect, cx));
        };
        self.wait_for_answer(exchange, Asked::Session(endpoint));
        cx.requests.push_back(EngineIoRequest::Upgrade {
            http: conn,
            endpoint,
            sid: Sid::parse(sid),
            revision,
            accept,
        });
        Step::Consumed(length)
    }

    /// Why this connection is closed 1013 once it is upgraded, if it is. A refused upgrade would read as 1006 in a browser
    /// (PROTOCOL.md §6.2).
    pub(super) fn turned_away(&self, may_watch: bool, cx: &mut Context) -> Option<&'static str> {
        match cx.serving {
            ServingState::Draining => return Some("Server shutting down"),
            ServingState::Maintenance if !may_watch => {
                return Some("Server temporarily unavailable");
            }
            ServingState::Open | ServingState::Maintenance => {}
        }
        if self.is_address_full {
            return Some(ADDRESS_FULL);
        }
        let has_place = !self.over_limit || cx.take_place();
        (!has_place).then_some("Server connection limit reached")
    }
}

/// The revision of Engine.IO that is asked for over a WebSocket.
fn websocket_revision(query: &Query<'_>, settings: &Settings) -> Result<Revision, HandshakeError> {
    let revision = settings.revision(query)?;
    if query.transport != Some("websocket") || !settings.websocket {
        return Err(HandshakeError::UnknownTransport);
    }
    Ok(revision)
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1).
pub(crate) fn bearer(value: &[u8]) -> Option<String> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}
