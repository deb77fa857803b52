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
use crate::conversation::transport::{Polling, PostBody, Transport, Waiting, payload};
use crate::dialect::Dialect;
use crate::engineio_request::{answer, refusal};
use crate::http::bearer;
use crate::peer::{Peer, Stage};

/// Seconds that a client which is turned away is asked to wait: as long as after a close 1013 (PROTOCOL.md §7).
const RETRY_AFTER: &[u8] = b"10";

/// Why a session ends that is asked twice before it has answered.
const TWO_AT_ONCE: &str = "two requests of a session at once";

impl Reactor {
    /// A session begins; the request that began it is its first poll.
    pub(super) fn open_session(
        &mut self,
        endpoint: Endpoint,
        revision: Revision,
        request: &HttpRequest,
        waiting: Waiting,
    ) {
        if self.is_full_for(waiting.http) || self.is_shut_for(endpoint) {
            self.cx.stats.refused_total += 1;
            let mut headers = waiting.headers;
            headers.push((b"retry-after".into(), RETRY_AFTER.into()));
            let body = b"the server takes no new sessions now".to_vec();
            self.respond(request.conn, &answer(503, "text/plain", headers, body));
            return;
        }
        let address = request.ends.peer.ip();
        if !self.cx.take_address(address) {
            let mut headers = waiting.headers;
            headers.push((b"retry-after".into(), RETRY_AFTER.into()));
            let body = b"too many connections from this address".to_vec();
            self.respond(request.conn, &answer(429, "text/plain", headers, body));
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
        let conn = self.insert(Peer::polling(conversation, self.cx.now_ms));
        self.cx.hold_address(conn, address);
        self.cx.tell(Event::Opened(Box::new(Opened {
            conn,
            endpoint,
            transport: TransportKind::Polling,
            path: http::path(&request.target).into(),
            peer: request.ends.peer,
            certificate_names: request.certificate_names.clone(),
            bearer: bearer_of(request),
        })));
        self.set_session_of(http, conn);
        self.greet(conn);
    }

    fn is_shut_for(&self, endpoint: Endpoint) -> bool {
        match self.cx.serving {
            ServingState::Open => false,
            // Where there may be watchers, what the session says first decides.
            ServingState::Maintenance => !endpoint.has_agents(),
            ServingState::Draining => true,
        }
    }

    /// Whether there is no place for a session that begins on this connection. One connection may begin any number of
    /// them, which have no sockets to be counted by.
    fn is_full_for(&mut self, http: ConnId) -> bool {
        let handles = self.shared.handles.iter();
        let polling: usize = handles.map(|handle| handle.polling()).sum();
        polling >= self.cx.settings.max_connections
            || (self.is_extra(http) && !self.take_place_for(http))
    }

    pub(super) fn greet(&mut self, session: ConnId) {
        self.with_peer(session, |peer, cx| {
            if let Stage::Conversation(conversation) = &mut peer.stage {
                conversation.greet(session, None, cx);
            }
        });
    }

    /// A GET: it waits until there is something to tell.
    pub(super) fn poll(&mut self, session: ConnId, waiting: Waiting) -> Result<(), HandshakeError> {
        self.set_session_of(waiting.http, session);
        let is_first = self.with_peer(session, |peer, cx| {
            let polling = peer.as_polling().ok_or(HandshakeError::BadRequest)?;
            if polling.poll.is_some() {
                return Ok(false);
            }
            polling.poll = Some(waiting);
            peer.last_seen = cx.now_ms;
            Ok(true)
        });
        match is_first.ok_or(HandshakeError::UnknownSid)?? {
            true => Ok(()),
            false => self.end_with_bad_request(session, TWO_AT_ONCE),
        }
    }

    /// A POST: its packets are dealt with, and then it is answered.
    pub(super) fn post(
        &mut self,
        session: ConnId,
        waiting: Waiting,
        request: &mut HttpRequest,
    ) -> Result<(), HandshakeError> {
        self.set_session_of(waiting.http, session);
        let refused = self.with_peer(session, |peer, cx| {
            let polling = peer.as_polling().ok_or(HandshakeError::BadRequest)?;
            if let Err(reason) = begin_post(polling, waiting, request) {
                return Ok(Some(reason));
            }
            peer.last_seen = cx.now_ms;
            peer.on_data(session, &mut [], cx);
            Ok(None)
        });
        match refused.ok_or(HandshakeError::UnknownSid)?? {
            None => Ok(()),
            Some(reason) => self.end_with_bad_request(session, reason),
        }
    }

    /// A POST whose body is coming: another one meanwhile is one too many, as its packets could be the earlier ones.
    pub(super) fn expect_push(&mut self, session: ConnId, http: ConnId) {
        let is_second = self.with_peer(session, |peer, _| {
            let Some(polling) = peer.as_polling() else {
                return false;
            };
            let is_second = polling.post.is_some() || polling.coming.is_some();
            if !is_second {
                polling.coming = Some(http);
            }
            is_second
        });
        if is_second == Some(true) {
            let _refused_when_it_has_come = self.end_with_bad_request(session, TWO_AT_ONCE);
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
        self.with_peer(session, |peer, cx| {
            if let Stage::Conversation(conversation) = &mut peer.stage {
                conversation.close(close_frame, cx);
                // The poll that waits hears of it. There need be none: the request that was wrong is answered too.
                let polls = conversation.transport.polling();
                peer.finished |= polls.is_some_and(|polling| polling.poll.is_none());
            }
        });
    }

    /// Answers the requests of a session that can be answered; greets one that has a WebSocket.
    pub(super) fn flush_session(&mut self, session: ConnId) {
        let answers = self.with_peer(session, |peer, cx| {
            let has_packets = !peer.has_sent_all();
            let polling = peer.as_polling()?;
            polling.answer_at = None;
            let post = polling.post.take_if(|post| post.is_done());
            let has_news = has_packets || polling.is_upgrading || !polling.is_open();
            let poll = if has_news { polling.poll.take() } else { None };
            // A client that broke the rules hears of it as the answer to that, and once.
            peer.finished |= post.as_ref().is_some_and(|post| post.is_bad);
            let fetched = poll.map(|poll| (poll, fetch(session, peer, cx)));
            Some((fetched, post))
        });
        match answers {
            None => {}
            Some(None) => self.greet(session),
            Some(Some((fetched, post))) => {
                if let Some((poll, packets)) = fetched {
                    self.answer_poll(poll, packets);
                }
                if let Some(post) = post {
                    self.answer_post(post);
                }
            }
        }
    }

    /// The session is over, or goes on without requests: none of them may be left waiting.
    pub(super) fn answer_last(&mut self, polling: Polling) {
        let noop = payload(polling.revision, polling.wants_base64, b"");
        if let Some(poll) = polling.poll {
            self.answer_poll(poll, noop);
        }
        if let Some(post) = polling.post {
            self.answer_post(post);
        }
        if let Some(probe) = polling.probe {
            self.refuse_probe(probe);
        }
    }

    fn answer_poll(&mut self, waiting: Waiting, (content_type, body): Packets) {
        let response = answer(200, content_type, waiting.headers, body);
        self.respond(waiting.http, &response);
    }

    fn answer_post(&mut self, post: PostBody) {
        let Waiting { http, headers } = post.waiting;
        let response = if post.is_bad {
            refusal(HandshakeError::BadRequest, headers, &mut self.cx.stats)
        } else {
            answer(200, "text/html", headers, b"ok".to_vec())
        };
        self.respond(http, &response);
    }

    pub(super) fn respond(&mut self, http: ConnId, response: &Response) {
        self.with_peer(http, |peer, cx| {
            if let Stage::Http(http) = &mut peer.stage {
                http.is_answered_by(None);
                http.respond(response, cx);
            }
            after_response(false, http, peer, cx);
        });
    }

    fn is_extra(&self, conn: ConnId) -> bool {
        self.peers.get(conn).is_some_and(|peer| peer.is_extra)
    }

    /// A place for a connection that came when all were taken, and opens a session.
    fn take_place_for(&mut self, http: ConnId) -> bool {
        let has_place = self.cx.take_place();
        if has_place {
            self.with_peer(http, |peer, _| peer.is_extra = false);
        }
        has_place
    }

    /// Notes whose answer an HTTP connection waits for.
    fn set_session_of(&mut self, http: ConnId, session: ConnId) {
        self.with_peer(http, |peer, _| {
            if let Stage::Http(http) = &mut peer.stage {
                http.is_answered_by(Some(session));
            }
        });
    }

    /// Answers a poll whose client has ended its side with what there is. If that client is gone, and the answer with
    /// it, so is the session.
    pub(super) fn free_poll(&mut self, http: ConnId) {
        let session = match self.peers.get(http).map(|peer| &peer.stage) {
            Some(Stage::Http(http)) => http.session,
            _ => None,
        };
        let Some(session) = session else {
            return;
        };
        let fetched = self.with_peer(session, |peer, cx| {
            let polling = peer.as_polling()?;
            let poll = polling.poll.take_if(|poll| poll.http == http)?;
            polling.answer_at = None;
            Some((poll, fetch(session, peer, cx)))
        });
        let Some((poll, packets)) = fetched.flatten() else {
            return;
        };
        self.with_peer(http, |peer, _| {
            if let Stage::Http(http) = &mut peer.stage {
                http.watch_for(session);
            }
        });
        self.answer_poll(poll, packets);
    }

    /// What is still coming of a request is of use to no session.
    pub(super) fn discard_body(&mut self, http: ConnId) {
        self.with_peer(http, |peer, _| {
            if let Stage::Http(http) = &mut peer.stage {
                http.discard_body();
            }
        });
    }

    /// An HTTP connection has gone whose request waited for this session.
    pub(super) fn abandon(&mut self, session: ConnId, http: ConnId) {
        self.with_peer(session, |peer, _| {
            let Some(polling) = peer.as_polling() else {
                return;
            };
            // The packets of a POST are all here: they count, though no client hears of it. How much of the answer to a
            // poll has arrived is unknown: the client begins anew, as after a WebSocket that broke.
            let is_polled = polling.poll.take_if(|poll| poll.http == http).is_some();
            peer.finished |= is_polled;
        });
    }

    pub(super) fn lose_session(&mut self, session: ConnId) {
        self.with_peer(session, |peer, _| peer.finished = true);
    }
}

/// The body of an answer to a poll, and its type.
type Packets = (&'static str, Vec<u8>);

/// Takes the packets that one poll may fetch.
fn fetch(session: ConnId, peer: &mut Peer, cx: &mut Context) -> Packets {
    let frames = peer.take_frames(session, cx);
    match peer.as_polling() {
        Some(polling) => payload(polling.revision, polling.wants_base64, &frames),
        None => ("", Vec::new()),
    }
}

/// Takes the packets of a POST in.
///
/// # Errors
/// Why the session ends for it.
fn begin_post(
    polling: &mut Polling,
    waiting: Waiting,
    request: &mut HttpRequest,
) -> Result<(), &'static str> {
    let is_other = |coming: ConnId| coming != waiting.http;
    if polling.post.is_some() || polling.coming.take().is_some_and(is_other) {
        return Err(TWO_AT_ONCE);
    }
    let mut headers = request.headers.iter();
    let content_type = headers.find(|(name, _)| name == b"content-type");
    let content_type = content_type.map(|(_, value)| &value[..]);
    let Some(format) = PayloadFormat::of(polling.revision, content_type) else {
        return Err("a body in a form that is not spoken here");
    };
    polling.post = Some(PostBody {
        waiting,
        body: std::mem::take(&mut request.body),
        format,
        at: 0,
        is_bad: false,
    });
    Ok(())
}

fn bearer_of(request: &HttpRequest) -> Option<String> {
    let mut headers = request.headers.iter();
    let authorization = headers.find(|(name, _)| name == b"authorization");
    authorization.and_then(|(_, value)| bearer(value))
}
