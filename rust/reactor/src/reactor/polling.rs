//! Engine.IO sessions that poll: what HTTP requests ask of them, and when those are answered.
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
//!
//! Answers are given once a turn, so that all that was said in it goes out together.

use dscore_proto::close::CloseCode;
use dscore_proto::engineio::{HandshakeError, PayloadFormat, Query, Revision};

use super::Reactor;
use super::commands::after_response;
use crate::command::{Farewell, Response};
use crate::context::Context;
use crate::conversation::Conversation;
use crate::dialect::Dialect;
use crate::event::{Event, HttpRequest, Opened, TransportKind};
use crate::http_peer::bearer;
use crate::peer::{Peer, Stage};
use crate::probe::Phase;
use crate::queue::{Newcomer, Order};
use crate::session_request::{Fields, SessionRequest, answer, refusal};
use crate::settings::{Endpoint, Gate, Settings};
use crate::sid::Sid;
use crate::sys::Socket;
use crate::table::ConnId;
use crate::transport::{Polling, Push, Transport, Waiting, payload};

/// Seconds that whoever is turned away is asked to wait: as long as after a close 1013 (PROTOCOL.md §7).
const RETRY_AFTER: &[u8] = b"10";

impl Reactor {
    /// Does what was asked of sessions in this turn, and answers what can be answered.
    pub(super) fn serve_sessions(&mut self) {
        loop {
            while let Some(request) = self.cx.requests.pop_front() {
                self.serve_request(request);
            }
            let now_ms = self.cx.now_ms;
            match self.to_speak_to.front() {
                Some(&(at_ms, session)) if at_ms <= now_ms => {
                    self.to_speak_to.pop_front();
                    self.speak_to(session);
                }
                _ => return,
            }
        }
    }

    fn serve_request(&mut self, request: SessionRequest) {
        match request {
            SessionRequest::Http(endpoint, request) => self.serve_http(endpoint, &request),
            SessionRequest::Upgrade {
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
                    self.respond(http, &refusal(error, Vec::new()));
                }
            }
            SessionRequest::Probe(conn) => self.on_probe(conn),
            SessionRequest::TooBig(request) => {
                let reason = "the body of a request is too large";
                let farewell = Farewell::new(CloseCode::TOO_BIG, reason, "protocol_error");
                let sid = Query::of(&request.target).sid.and_then(Sid::parse);
                if let Some(sid) = sid.filter(|sid| self.polls(*sid)) {
                    self.end_session(sid.conn, &farewell);
                }
                let headers = cross_origin(&request, &self.cx.settings).unwrap_or_default();
                let response = answer(413, "text/plain", headers, reason.into());
                self.respond(request.conn, &response);
            }
            SessionRequest::Cut(sid) => {
                if self.polls(sid) {
                    self.lose_session(sid.conn);
                }
            }
        }
    }

    fn serve_http(&mut self, endpoint: Endpoint, request: &HttpRequest) {
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
            self.respond(request.conn, &refusal(error, headers));
        }
    }

    fn route(
        &mut self,
        endpoint: Endpoint,
        request: &HttpRequest,
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
                    "POST" => self.push(session, waiting, request),
                    _ => Err(HandshakeError::BadRequest),
                }
            }
        }
    }

    /// A session begins; the request that began it is its first poll.
    fn open_session(
        &mut self,
        endpoint: Endpoint,
        revision: Revision,
        request: &HttpRequest,
        waiting: Waiting,
    ) {
        let handles = self.shared.handles.iter();
        let polling: usize = handles.map(|handle| handle.polling()).sum();
        // One connection may begin any number of sessions, which have no sockets to be counted by.
        let is_full =
            polling >= self.cx.settings.max_connections || self.is_over_limit(waiting.http);
        if self.cx.gate != Gate::Open || is_full {
            self.cx.stats.refused_total += 1;
            let mut headers = waiting.headers;
            headers.push((b"retry-after".into(), RETRY_AFTER.into()));
            let body = b"the server takes no new sessions now".to_vec();
            self.respond(request.conn, &answer(503, "text/plain", headers, body));
            return;
        }
        self.own.add_polling();
        let http = waiting.http;
        let wants_base64 = Query::of(&request.target).wants_base64;
        let polling = Box::new(Polling::new(revision, wants_base64, waiting));
        let dialect = Dialect::new(endpoint, revision, self.cx.now_ms, &self.cx.settings);
        let transport = Transport::Polling(polling);
        let conversation = Conversation::new(endpoint, transport, dialect, &mut self.cx);
        let conn = self
            .table
            .insert(Peer::polling(conversation, self.cx.now_ms));
        let mut headers = request.headers.iter();
        let authorization = headers.find(|(name, _)| name == b"authorization");
        self.cx.tell(Event::Opened(Box::new(Opened {
            conn,
            endpoint,
            transport: TransportKind::Polling,
            path: request.target.split('?').next().unwrap_or_default().into(),
            peer: request.peer,
            bearer: authorization.and_then(|(_, value)| bearer(value)),
        })));
        self.set_session_of(http, Some(conn));
        self.greet(conn);
    }

    fn greet(&mut self, session: ConnId) {
        if let Some((peer, cx)) = self.peer(session)
            && let Stage::Conversation(conversation) = &mut peer.stage
        {
            conversation.greet(session, None, cx);
        }
        self.settle(session);
    }

    /// The session of this sid.
    fn find(
        &mut self,
        sid: Option<Sid>,
        endpoint: Endpoint,
        revision: Revision,
    ) -> Result<ConnId, HandshakeError> {
        let sid = sid.ok_or(HandshakeError::UnknownSid)?;
        let now_ms = self.cx.now_ms;
        // Its time may be up though the wheel has not said so yet.
        if let Some((peer, cx)) = self.peer(sid.conn)
            && peer.as_polling().is_some()
            && peer.next_deadline(cx) <= now_ms
        {
            peer.on_timer(sid.conn, cx);
            self.settle(sid.conn);
        }
        let (peer, _) = self.peer(sid.conn).ok_or(HandshakeError::UnknownSid)?;
        match peer.engine_io() {
            Some(engine) if engine.secret != sid.secret || engine.endpoint != endpoint => {
                Err(HandshakeError::UnknownSid)
            }
            Some(engine) if engine.revision != revision => Err(HandshakeError::BadRequest),
            Some(_) => Ok(sid.conn),
            None => Err(HandshakeError::UnknownSid),
        }
    }

    /// A GET: it waits until there is something to tell.
    fn poll(&mut self, session: ConnId, waiting: Waiting) -> Result<(), HandshakeError> {
        let now_ms = self.cx.now_ms;
        let (peer, _) = self.peer(session).ok_or(HandshakeError::UnknownSid)?;
        let polling = peer.as_polling().ok_or(HandshakeError::BadRequest)?;
        if polling.poll.is_some() {
            return self.end_with_bad_request(session, "two requests of a session at once");
        }
        let http = waiting.http;
        polling.poll = Some(waiting);
        peer.last_seen = now_ms;
        self.set_session_of(http, Some(session));
        self.settle(session);
        Ok(())
    }

    /// A POST: its packets are dealt with, and then it is answered.
    fn push(
        &mut self,
        session: ConnId,
        waiting: Waiting,
        request: &HttpRequest,
    ) -> Result<(), HandshakeError> {
        let now_ms = self.cx.now_ms;
        let (peer, cx) = self.peer(session).ok_or(HandshakeError::UnknownSid)?;
        let polling = peer.as_polling().ok_or(HandshakeError::BadRequest)?;
        if polling.push.is_some() {
            return self.end_with_bad_request(session, "two requests of a session at once");
        }
        let mut headers = request.headers.iter();
        let content_type = headers.find(|(name, _)| name == b"content-type");
        let content_type = content_type.map(|(_, value)| &value[..]);
        let Some(format) = PayloadFormat::of(polling.revision, content_type) else {
            return self.end_with_bad_request(session, "a body in a form that is not spoken here");
        };
        let http = waiting.http;
        polling.push = Some(Push {
            waiting,
            body: request.body.clone(),
            format,
            at: 0,
            is_bad: false,
        });
        peer.last_seen = now_ms;
        peer.on_data(session, &mut [], cx);
        self.set_session_of(http, Some(session));
        self.settle(session);
        Ok(())
    }

    /// A request that a session does not survive.
    fn end_with_bad_request(
        &mut self,
        session: ConnId,
        reason: &str,
    ) -> Result<(), HandshakeError> {
        let farewell = Farewell::new(CloseCode::PROTOCOL_ERROR, reason, "protocol_error");
        self.end_session(session, &farewell);
        Err(HandshakeError::BadRequest)
    }

    fn end_session(&mut self, session: ConnId, farewell: &Farewell) {
        if let Some((peer, cx)) = self.peer(session)
            && let Stage::Conversation(conversation) = &mut peer.stage
        {
            conversation.close(farewell, cx);
            // The poll that waits hears of it. There need be none: the request that was wrong is answered too.
            let polls = conversation.transport.polling();
            peer.finished |= polls.is_some_and(|polling| polling.poll.is_none());
        }
        self.settle(session);
    }

    /// A request for a WebSocket that is to take over.
    fn begin_upgrade(
        &mut self,
        session: ConnId,
        http: ConnId,
        accept: &[u8],
    ) -> Result<(), HandshakeError> {
        if self.table.get(http).is_none() {
            return Ok(());
        }
        let (peer, _) = self.peer(session).ok_or(HandshakeError::UnknownSid)?;
        let vacant = peer
            .as_polling()
            .filter(|polling| polling.is_open() && polling.probe.is_none());
        let is_vacant = vacant.map(|polling| polling.probe = Some(http)).is_some();
        if let Some((peer, cx)) = self.peer(http) {
            cx.out.extend_from_slice(accept);
            cx.stats.http_connections -= 1;
            // A session that has a WebSocket, or is about to have one, needs no other. A refused upgrade would read as
            // 1006 in a browser.
            peer.become_probe(http, session, is_vacant, cx);
        }
        self.settle(http);
        Ok(())
    }

    /// A probe has got further.
    fn on_probe(&mut self, conn: ConnId) {
        let Some((peer, _)) = self.peer(conn) else {
            return;
        };
        let Stage::Probe(probe) = &peer.stage else {
            return;
        };
        let (session, phase) = (probe.session, probe.phase);
        if phase == Phase::Upgraded {
            self.take_over(session, conn);
            return;
        }
        if let Some((peer, _)) = self.peer(session)
            && let Some(polling) = peer.as_polling()
        {
            polling.is_upgrading = true;
        }
        self.settle(session);
    }

    /// The probe's socket becomes the session's.
    fn take_over(&mut self, session: ConnId, probe: ConnId) {
        let can_move = self
            .table
            .get(session)
            .is_some_and(|peer| peer.can_move_to_websocket());
        let can_move = can_move && self.table.get(probe).is_some_and(Peer::has_sent_all);
        if !can_move {
            if let Some((peer, cx)) = self.peer(probe)
                && let Stage::Probe(probe) = &mut peer.stage
            {
                probe.refuse(cx);
            }
            self.settle(probe);
            return;
        }
        let Some((socket, Stage::Probe(probe))) = self.take_socket(probe) else {
            return;
        };
        if let Some((peer, cx)) = self.peer(session) {
            let polling = peer.take_over(session, socket, *probe, cx);
            self.own.drop_polling();
            self.own.add_load();
            self.settle(session);
            if let Some(polling) = polling {
                self.answer_last(*polling);
            }
        }
    }

    /// Answers the requests of a session that can be answered; greets one that has a WebSocket.
    fn speak_to(&mut self, session: ConnId) {
        let Some((peer, cx)) = self.peer(session) else {
            return;
        };
        let has_packets = !peer.has_sent_all();
        let Some(polling) = peer.as_polling() else {
            self.greet(session);
            return;
        };
        polling.answer_at = None;
        let (revision, wants_base64) = (polling.revision, polling.wants_base64);
        let push = polling.push.take_if(|push| push.is_done());
        let has_news = has_packets || polling.is_upgrading || !polling.is_open();
        let poll = if has_news { polling.poll.take() } else { None };
        // Whoever broke the rules hears of it as the answer to that; nobody need be told once more.
        peer.finished |= push.as_ref().is_some_and(|push| push.is_bad);
        if let Some(poll) = poll {
            let frames = peer.take_frames(session, cx);
            self.answer_poll(poll, payload(revision, wants_base64, &frames));
        }
        if let Some(push) = push {
            self.answer_push(push);
        }
        self.settle(session);
    }

    /// The session is over, or goes on without requests: none of them may be left waiting.
    pub(super) fn answer_last(&mut self, polling: Polling) {
        let noop = payload(polling.revision, polling.wants_base64, b"");
        if let Some(poll) = polling.poll {
            self.answer_poll(poll, noop);
        }
        if let Some(push) = polling.push {
            self.answer_push(push);
        }
        if let Some(probe) = polling.probe {
            if let Some((peer, cx)) = self.peer(probe)
                && let Stage::Probe(probe) = &mut peer.stage
            {
                probe.refuse(cx);
            }
            self.settle(probe);
        }
    }

    fn answer_poll(&mut self, waiting: Waiting, (content_type, body): (&str, Vec<u8>)) {
        let response = answer(200, content_type, waiting.headers, body);
        self.respond(waiting.http, &response);
    }

    fn answer_push(&mut self, push: Push) {
        let Waiting { http, headers } = push.waiting;
        let response = if push.is_bad {
            refusal(HandshakeError::BadRequest, headers)
        } else {
            answer(200, "text/html", headers, b"ok".to_vec())
        };
        self.respond(http, &response);
    }

    fn respond(&mut self, http: ConnId, response: &Response) {
        self.set_session_of(http, None);
        if let Some((peer, cx)) = self.peer(http) {
            if let Stage::Http(http) = &mut peer.stage {
                http.respond(response, cx);
            }
            after_response(false, http, peer, cx);
        }
        self.settle(http);
    }

    fn is_over_limit(&mut self, http: ConnId) -> bool {
        self.peer(http).is_some_and(|(peer, _)| match &peer.stage {
            Stage::Http(http) => http.origin().1,
            Stage::Conversation(_) | Stage::Probe(_) => false,
        })
    }

    /// Notes whose answer an HTTP connection waits for.
    fn set_session_of(&mut self, http: ConnId, session: Option<ConnId>) {
        if let Some((peer, _)) = self.peer(http)
            && let Stage::Http(http) = &mut peer.stage
        {
            http.session = session;
        }
    }

    /// An HTTP connection has gone whose request waited for this session.
    pub(super) fn abandon(&mut self, session: ConnId, http: ConnId) {
        let Some((peer, _)) = self.peer(session) else {
            return;
        };
        let Some(polling) = peer.as_polling() else {
            return;
        };
        // The packets of a POST are all here: they count, whoever hears of it.
        if polling.poll.take_if(|poll| poll.http == http).is_some() {
            // What was on its way to it, nobody knows: the client begins anew, as after a WebSocket that broke.
            self.lose_session(session);
        }
    }

    fn lose_session(&mut self, session: ConnId) {
        if let Some((peer, _)) = self.peer(session) {
            peer.finished = true;
        }
        self.settle(session);
    }

    /// Whether there is a session of this sid, and it polls.
    fn polls(&mut self, sid: Sid) -> bool {
        self.peer(sid.conn).is_some_and(|(peer, _)| {
            let is_its = peer
                .engine_io()
                .is_some_and(|engine| engine.secret == sid.secret);
            is_its && peer.as_polling().is_some()
        })
    }

    /// A WebSocket has gone that wanted to take over: the session polls on.
    pub(super) fn forget_probe(&mut self, session: ConnId, conn: ConnId) {
        if let Some((peer, _)) = self.peer(session)
            && let Some(polling) = peer.as_polling()
            && polling.probe == Some(conn)
        {
            polling.probe = None;
            polling.is_upgrading = false;
        }
    }

    /// Gives a socket to the reactor that has the session it asks for, with all that was read of its request.
    pub(super) fn hand_on(&mut self, conn: ConnId, reactor: u8) {
        let Some((socket, Stage::Http(mut http))) = self.take_socket(conn) else {
            return;
        };
        self.cx.stats.http_connections -= 1;
        let (address, over_limit) = http.origin();
        let newcomer = Newcomer {
            socket,
            address,
            over_limit,
            input: http.take_input(),
        };
        let Some(handle) = self.shared.handles.get(usize::from(reactor)) else {
            return;
        };
        handle.add_load();
        // Never wait for another reactor. A socket that finds its queue full is closed, and its client tries again.
        if handle.commands.try_push(Order::Adopt(newcomer)).is_err() {
            handle.drop_load();
        }
    }

    /// Takes a peer out of the table for its socket, which is watched by nobody then.
    fn take_socket(&mut self, conn: ConnId) -> Option<(Socket, Stage)> {
        let peer = self.table.remove(conn)?;
        if let Some((key, _)) = peer.timer {
            self.wheel.cancel(key);
        }
        self.own.drop_load();
        self.cx.stats.input_bytes -= peer.held_input();
        let socket = peer.socket?;
        self.lobby.delete(&socket).ok()?;
        Some((socket, peer.stage))
    }

    fn peer(&mut self, conn: ConnId) -> Option<(&mut Peer, &mut Context)> {
        self.table.get_mut(conn).map(|peer| (peer, &mut self.cx))
    }
}

/// What an answer says about pages of other origins (Fetch standard, CORS protocol).
fn cross_origin(request: &HttpRequest, settings: &Settings) -> Result<Fields, HandshakeError> {
    let mut headers = request.headers.iter();
    let origin = headers.find(|(name, _)| name == b"origin");
    let allows = |wanted: &[u8]| {
        let mut origins = settings.origins.iter();
        origins.any(|origin| origin.as_bytes() == wanted)
    };
    let field = |value: &[u8]| (b"access-control-allow-origin".to_vec(), value.to_vec());
    match origin {
        _ if allows(b"*") => Ok(vec![field(b"*")]),
        None => Ok(Vec::new()),
        Some((_, origin)) if allows(origin) => {
            Ok(vec![field(origin), (b"vary".into(), b"Origin".into())])
        }
        Some(_) => Err(HandshakeError::Forbidden),
    }
}

/// The answer to a browser that asks before it sends.
fn preflight(mut headers: Fields, request: &HttpRequest, settings: &Settings) -> Response {
    let methods = settings.cors_methods.join(", ");
    headers.push((b"access-control-allow-methods".into(), methods.into()));
    let mut asked = request.headers.iter();
    if let Some((_, wanted)) = asked.find(|(name, _)| name == b"access-control-request-headers") {
        headers.push((b"access-control-allow-headers".into(), wanted.clone()));
    }
    Response {
        status: 204,
        headers,
        body: Vec::new(),
        more: false,
        notify: false,
    }
}
