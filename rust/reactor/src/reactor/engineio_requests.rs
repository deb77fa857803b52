//! What sockets ask of Engine.IO sessions: found, or refused.
//!
//! | request | with | leads to |
//! |---|---|---|
//! | GET | no sid | a session, whose first packets are the answer |
//! | GET | a sid | waits until there are packets |
//! | GET | a sid whose last GET still waits | the end of the session |
//! | POST | a sid | its packets; answered when all were dealt with |
//! | POST | a sid whose last POST still waits | the end of the session |
//! | upgrade | a sid | a probe: see [`crate::probe`] |
//! | OPTIONS | anything | what pages of other origins may do |
//! | anything else | | 400 |

use dscore_proto::close::CloseCode;
use dscore_proto::engineio::{HandshakeError, Query, Revision};
use dscore_traffic::close::CloseFrame;
use dscore_traffic::event::HttpRequest;
use dscore_traffic::{ConnId, Endpoint};

use super::Reactor;
use super::commands::resume;
use crate::conversation::transport::Waiting;
use crate::dialect::sid::Sid;
use crate::engineio_request::{EngineIoRequest, Fields, answer, refusal};
use crate::http::cors::{cross_origin, preflight};

/// Taken in one turn. An answer brings on the next request of those that were sent ahead of it.
const MAX_BATCH: usize = 256;

impl Reactor {
    /// Does what was asked of sessions, and answers what can be answered.
    pub(super) fn serve_sessions(&mut self) {
        let mut left = MAX_BATCH;
        loop {
            while left > 0
                && let Some(request) = self.cx.requests.pop_front()
            {
                left -= 1;
                self.serve_request(request);
            }
            let now_ms = self.cx.now_ms;
            match self.due_sessions.front() {
                Some(&(at_ms, session)) if at_ms <= now_ms => {
                    self.due_sessions.pop_front();
                    self.flush_session(session);
                }
                _ => return,
            }
        }
    }

    fn serve_request(&mut self, request: EngineIoRequest) {
        match request {
            EngineIoRequest::Http(endpoint, mut request) => self.serve_http(endpoint, &mut request),
            EngineIoRequest::Upgrade {
                http,
                endpoint,
                sid,
                revision,
                accept,
            } => {
                let found = self.find(sid, endpoint, revision);
                let begun = found.and_then(|session| self.begin_upgrade(session, http, &accept));
                if let Err(error) = begun {
                    self.cx.stats.handshake_failures_total += 1;
                    let refusal = refusal(error, Vec::new(), &mut self.cx.stats);
                    self.respond(http, &refusal);
                }
            }
            EngineIoRequest::Probe(conn) => self.on_probe(conn),
            EngineIoRequest::Coming { http, sid } => {
                if self.polls(sid) {
                    self.expect_push(sid.conn, http);
                } else {
                    self.discard_body(http);
                }
            }
            EngineIoRequest::CloseInfo(http) => self.free_poll(http),
            EngineIoRequest::Discard(http) => self.discard_body(http),
            EngineIoRequest::TooBig(request) => {
                let reason = "the body of a request is too large";
                let close_frame = CloseFrame::new(CloseCode::TOO_BIG, reason, "protocol_error");
                let sid = Query::of(&request.target).sid.and_then(Sid::parse);
                if let Some(sid) = sid.filter(|sid| self.polls(*sid)) {
                    self.end_session(sid.conn, &close_frame);
                }
                let headers = cross_origin(&request, &self.cx.settings).unwrap_or_default();
                let response = answer(413, "text/plain", headers, reason.into());
                self.respond(request.conn, &response);
            }
            EngineIoRequest::Cut(sid) => {
                if self.polls(sid) {
                    self.lose_session(sid.conn);
                }
            }
            EngineIoRequest::GoOn(session) => {
                self.with_peer(session, |peer, cx| resume(session, peer, cx));
            }
        }
    }

    fn serve_http(&mut self, endpoint: Endpoint, request: &mut HttpRequest) {
        let (headers, asked) = match cross_origin(request, &self.cx.settings) {
            Ok(headers) if request.method == "OPTIONS" => {
                self.respond(
                    request.conn,
                    &preflight(headers, request, &self.cx.settings),
                );
                return;
            }
            Ok(headers) => {
                let asked = self.route(endpoint, request, &headers);
                (headers, asked)
            }
            Err(error) => (Vec::new(), Err(error)),
        };
        if let Err(error) = asked {
            self.expect_no_push(request);
            let refusal = refusal(error, headers, &mut self.cx.stats);
            self.respond(request.conn, &refusal);
        }
    }

    /// A request that was refused is not the one whose packets its session waits for.
    fn expect_no_push(&mut self, request: &HttpRequest) {
        let Some(sid) = Query::of(&request.target).sid.and_then(Sid::parse) else {
            return;
        };
        self.with_peer(sid.conn, |peer, _| {
            if let Some(polling) = peer.as_polling() {
                polling.coming.take_if(|http| *http == request.conn);
            }
        });
    }

    fn route(
        &mut self,
        endpoint: Endpoint,
        request: &mut HttpRequest,
        headers: &Fields,
    ) -> Result<(), HandshakeError> {
        let settings = &self.cx.settings;
        let query = Query::of(&request.target);
        match query.transport {
            Some("polling") if settings.polling => {}
            Some("websocket") if settings.websocket => return Err(HandshakeError::BadRequest),
            _ => return Err(HandshakeError::UnknownTransport),
        }
        let revision = settings.revision(&query)?;
        if query.has_jsonp {
            return Err(HandshakeError::BadRequest);
        }
        let waiting = Waiting {
            http: request.conn,
            headers: headers.clone(),
        };
        match (query.sid, &*request.method) {
            (None, "GET") => {
                self.open_session(endpoint, revision, request, waiting);
                Ok(())
            }
            (None, _) => Err(HandshakeError::BadMethod),
            (Some(sid), method) => {
                let session = self.find(Sid::parse(sid), endpoint, revision)?;
                match method {
                    "GET" => self.poll(session, waiting),
                    "POST" => self.post(session, waiting, request),
                    _ => Err(HandshakeError::BadRequest),
                }
            }
        }
    }

    /// The session of this sid.
    fn find(
        &mut self,
        sid: Option<Sid>,
        endpoint: Endpoint,
        revision: Revision,
    ) -> Result<ConnId, HandshakeError> {
        let sid = sid.ok_or(HandshakeError::UnknownSid)?;
        let looked_ms = self.looked_us / 1_000;
        // Its time may be up though the wheel has not said so yet: but not if this request lay here in time.
        self.with_peer(sid.conn, |peer, cx| {
            if peer.polls() && peer.next_deadline(cx) <= looked_ms {
                peer.on_timer(sid.conn, cx);
            }
        });
        let peer = self.peers.get(sid.conn);
        let peer = peer.ok_or(HandshakeError::UnknownSid)?;
        match peer.engine_io() {
            Some(engine) if engine.secret != sid.secret || engine.endpoint != endpoint => {
                Err(HandshakeError::UnknownSid)
            }
            Some(engine) if engine.revision != revision => Err(HandshakeError::BadRequest),
            Some(_) => Ok(sid.conn),
            None => Err(HandshakeError::UnknownSid),
        }
    }

    /// Whether there is a session of this sid, and it polls.
    fn polls(&self, sid: Sid) -> bool {
        self.peers.get(sid.conn).is_some_and(|peer| {
            let is_its = peer
                .engine_io()
                .is_some_and(|engine| engine.secret == sid.secret);
            is_its && peer.polls()
        })
    }
}
