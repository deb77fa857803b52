//! Engine.IO sessions that poll: what HTTP requests ask of them, and when those are answered.
//!
//! Answers are given once a turn, so that all that was said in it goes out together.

use dscore_proto::close::CloseCode;
use dscore_proto::engineio::{HandshakeError, PayloadFormat, Query, Revision};
use dscore_proto::http;
use dscore_traffic::close::CloseFrame;
use dscore_traffic::command::{Response, ServingState};
use dscore_traffic::event::{Event, HttpRequest, Opened, TransportKind};
use dscore_traffic::{ConnId, Endpoint};

use super::Reactor;
use super::commands::after_response;
use crate::context::Context;
use crate::conversation::Conversation;
use crate::dialect::Dialect;
use crate::http_peer::bearer;
use crate::peer::{Peer, Stage};
use crate::session_request::{answer, refusal};
use crate::transport::{Polling, Push, Transport, Waiting, payload};

/// Seconds that whoever is turned away is asked to wait: as long as after a close 1013 (PROTOCOL.md §7).
const RETRY_AFTER: &[u8] = b"10";

impl Reactor {
    /// A session begins; the request that began it is its first poll.
    pub(super) fn open_session(
        &mut self,
        endpoint: Endpoint,
        revision: Revision,
        request: &HttpRequest,
        waiting: Waiting,
    ) {
        let handles = self.shared.handles.iter();
        let polling: usize = handles.map(|handle| handle.polling()).sum();
        // One connection may begin any number of sessions, which have no sockets to be counted by.
        let mut is_full = polling >= self.cx.settings.max_connections;
        if !is_full && self.is_extra(waiting.http) {
            is_full = !self.take_place_for(waiting.http);
        }
        let is_shut = match self.cx.serving {
            ServingState::Open => false,
            // Where there may be watchers, what the session says first decides.
            ServingState::Maintenance => !endpoint.has_agents(),
            ServingState::Draining => true,
        };
        if is_shut || is_full {
            self.cx.stats.refused_total += 1;
            let mut headers = waiting.headers;
            headers.push((b"retry-after".into(), RETRY_AFTER.into()));
            let body = b"the server takes no new sessions now".to_vec();
            self.respond(request.conn, &answer(503, "text/plain", headers, body));
            return;
        }
        if endpoint.has_agents() {
            self.make_room_for_polling();
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
            path: http::path(&request.target).into(),
            peer: request.ends.peer,
            bearer: authorization.and_then(|(_, value)| bearer(value)),
        })));
        self.set_session_of(http, Some(conn));
        self.greet(conn);
    }

    pub(super) fn greet(&mut self, session: ConnId) {
        if let Some((peer, cx)) = self.peer(session)
            && let Stage::Conversation(conversation) = &mut peer.stage
        {
            conversation.greet(session, None, cx);
        }
        self.settle(session);
    }

    /// A GET: it waits until there is something to tell.
    pub(super) fn poll(&mut self, session: ConnId, waiting: Waiting) -> Result<(), HandshakeError> {
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
    pub(super) fn push(
        &mut self,
        session: ConnId,
        waiting: Waiting,
        request: &mut HttpRequest,
    ) -> Result<(), HandshakeError> {
        let now_ms = self.cx.now_ms;
        let (peer, cx) = self.peer(session).ok_or(HandshakeError::UnknownSid)?;
        let polling = peer.as_polling().ok_or(HandshakeError::BadRequest)?;
        let is_other = |coming: ConnId| coming != waiting.http;
        if polling.push.is_some() || polling.coming.take().is_some_and(is_other) {
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
            body: std::mem::take(&mut request.body),
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

    /// A POST whose body is coming: another one meanwhile is one too many, as its packets could be the earlier ones.
    pub(super) fn expect_push(&mut self, session: ConnId, http: ConnId) {
        let Some((peer, _)) = self.peer(session) else {
            return;
        };
        let Some(polling) = peer.as_polling() else {
            return;
        };
        if polling.push.is_none() && polling.coming.is_none() {
            polling.coming = Some(http);
        } else {
            let _refused_when_it_has_come =
                self.end_with_bad_request(session, "two requests of a session at once");
        }
    }

    /// A request that a session does not survive.
    fn end_with_bad_request(
        &mut self,
        session: ConnId,
        reason: &'static str,
    ) -> Result<(), HandshakeError> {
        let close_frame = CloseFrame::new(CloseCode::PROTOCOL_ERROR, reason, "protocol_error");
        self.end_session(session, &close_frame);
        Err(HandshakeError::BadRequest)
    }

    pub(super) fn end_session(&mut self, session: ConnId, close_frame: &CloseFrame) {
        if let Some((peer, cx)) = self.peer(session)
            && let Stage::Conversation(conversation) = &mut peer.stage
        {
            conversation.close(close_frame, cx);
            // The poll that waits hears of it. There need be none: the request that was wrong is answered too.
            let polls = conversation.transport.polling();
            peer.finished |= polls.is_some_and(|polling| polling.poll.is_none());
        }
        self.settle(session);
    }

    /// Answers the requests of a session that can be answered; greets one that has a WebSocket.
    pub(super) fn speak_to(&mut self, session: ConnId) {
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
            refusal(HandshakeError::BadRequest, headers, &mut self.cx.stats)
        } else {
            answer(200, "text/html", headers, b"ok".to_vec())
        };
        self.respond(http, &response);
    }

    pub(super) fn respond(&mut self, http: ConnId, response: &Response) {
        self.set_session_of(http, None);
        if let Some((peer, cx)) = self.peer(http) {
            if let Stage::Http(http) = &mut peer.stage {
                http.respond(response, cx);
            }
            after_response(false, http, peer, cx);
        }
        self.settle(http);
    }

    fn is_extra(&self, conn: ConnId) -> bool {
        self.table.get(conn).is_some_and(|peer| peer.is_extra)
    }

    /// A place for a connection that came when all were taken, and opens a session.
    fn take_place_for(&mut self, http: ConnId) -> bool {
        let has_place = self.cx.take_place();
        if has_place && let Some((peer, _)) = self.peer(http) {
            peer.is_extra = false;
        }
        has_place
    }

    /// Notes whose answer an HTTP connection waits for.
    fn set_session_of(&mut self, http: ConnId, session: Option<ConnId>) {
        if let Some((peer, cx)) = self.peer(http)
            && let Stage::Http(peer_http) = &mut peer.stage
        {
            peer_http.session = session;
            peer_http.body_was_taken();
            peer.count_input(http, cx);
        }
    }

    /// Answers a poll whose client has ended its side with what there is. If that client is gone, and the answer with
    /// it, so is the session.
    pub(super) fn free_poll(&mut self, http: ConnId) {
        let session = self.peer(http).and_then(|(peer, _)| match &peer.stage {
            Stage::Http(http) => http.session,
            Stage::Conversation(_) | Stage::Probe(_) => None,
        });
        let Some(session) = session else {
            return;
        };
        let Some((peer, cx)) = self.peer(session) else {
            return;
        };
        let Some(polling) = peer.as_polling() else {
            return;
        };
        let Some(poll) = polling.poll.take_if(|poll| poll.http == http) else {
            return;
        };
        polling.answer_at = None;
        let (revision, wants_base64) = (polling.revision, polling.wants_base64);
        let frames = peer.take_frames(session, cx);
        if let Some((peer, _)) = self.peer(http)
            && let Stage::Http(http) = &mut peer.stage
        {
            http.watch_for(session);
        }
        self.answer_poll(poll, payload(revision, wants_base64, &frames));
        self.settle(session);
    }

    /// What is still coming of a request is of use to no session.
    pub(super) fn discard_body(&mut self, http: ConnId) {
        if let Some((peer, cx)) = self.peer(http)
            && let Stage::Http(peer_http) = &mut peer.stage
        {
            peer_http.discard_body();
            peer.count_input(http, cx);
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

    pub(super) fn lose_session(&mut self, session: ConnId) {
        if let Some((peer, _)) = self.peer(session) {
            peer.finished = true;
        }
        self.settle(session);
    }

    /// A peer, and what is needed to do something with it; the reactor settles it afterwards.
    pub(super) fn peer(&mut self, conn: ConnId) -> Option<(&mut Peer, &mut Context)> {
        let peer = self.table.get_mut(conn)?;
        peer.catch_up(self.cx.now_ms);
        Some((peer, &mut self.cx))
    }
}
