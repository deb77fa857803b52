//! A request goes to what answers it: an upgrade, an Engine.IO session, the app. It does when it is complete, or when it is
//! clear that it never will be.

use dscore_proto::engineio::Query;
use dscore_proto::http::{self, BodyReader, Head, HttpError};
use dscore_traffic::event::{Ends, Event, HttpRequest};
use dscore_traffic::{ConnId, Endpoint};
use httparse::Header;

use super::answer::Exchange;
use super::body::Upload;
use super::peer::{Asked, HttpPeer, PartialRequest, State, Step};
use crate::context::Context;
use crate::dialect::Dialect;
use crate::dialect::sid::Sid;
use crate::engineio_request::EngineIoRequest;

/// What a header field costs beside its bytes, until its request is answered.
pub(super) const FIELD_COST: usize = 64;

/// A whole request of at most so many bytes is answered however much all peers together hold: probes, metrics and the
/// operator get through any storm (PROTOCOL.md §10), and a connection has one such request at a time.
const SMALL_REQUEST: usize = 4096;

impl HttpPeer {
    /// A head is complete; it takes so many bytes.
    pub(super) fn on_head(
        &mut self,
        conn: ConnId,
        head: &Head<'_>,
        length: usize,
        cx: &mut Context,
    ) -> Result<Step, HttpError> {
        let endpoint = cx.settings.endpoint(head.path());
        let step = match endpoint {
            // RFC 9110 §7.8: an Upgrade may be ignored, and with any other method it is.
            None if cx.settings.guest.is_there && head.method == "GET" && head.wants_upgrade() => {
                Some(self.on_guest_upgrade(conn, head, length, cx))
            }
            None => None,
            Some(endpoint) if endpoint.speaks_engine_io() => {
                self.on_engineio_head(conn, head, length, endpoint, cx)
            }
            Some(endpoint) => Some(self.on_websocket_head(conn, head, length, endpoint, cx)),
        };
        match step {
            Some(step) => Ok(step),
            None => {
                let asked = endpoint.map_or(Asked::App, Asked::Session);
                self.begin_request(conn, head, length, asked, cx)
            }
        }
    }

    /// `None` if it is a request for a session, be it one that is to begin.
    fn on_engineio_head(
        &mut self,
        conn: ConnId,
        head: &Head<'_>,
        length: usize,
        endpoint: Endpoint,
        cx: &mut Context,
    ) -> Option<Step> {
        let sid = Query::of(head.target).sid.and_then(Sid::parse);
        if let Some(sid) = sid.filter(|sid| cx.is_elsewhere(sid.conn)) {
            return Some(Step::Elsewhere(sid.conn.reactor()));
        }
        if head.wants_upgrade() {
            return Some(self.upgrade_engine_io(conn, head, length, endpoint, cx));
        }
        if self.opens_session(head, cx) {
            return self.wait_for_turn(conn, length, cx);
        }
        None
    }

    /// Where only WebSockets are spoken.
    fn on_websocket_head(
        &mut self,
        conn: ConnId,
        head: &Head<'_>,
        length: usize,
        endpoint: Endpoint,
        cx: &mut Context,
    ) -> Step {
        if head.method == "OPTIONS" {
            self.tell_methods(head, endpoint, cx);
            return Step::Consumed(length);
        }
        let Some(accept) = self.accept(head, cx) else {
            return Step::Consumed(length);
        };
        if let Some(step) = self.wait_for_turn(conn, length, cx) {
            return step;
        }
        cx.out.extend_from_slice(&accept);
        let websocket = self.open(conn, head, endpoint, Dialect::Raw, cx);
        Step::Upgraded(length, websocket)
    }

    /// A request for the app or a session, whose body may still be coming.
    fn begin_request(
        &mut self,
        conn: ConnId,
        head: &Head<'_>,
        length: usize,
        asked: Asked,
        cx: &mut Context,
    ) -> Result<Step, HttpError> {
        let is_handed_over = asked == Asked::App && cx.settings.is_streamed(head.path());
        let max_body_size = match asked {
            Asked::App if is_handed_over => cx.settings.guest.max_upload_size,
            Asked::App => cx.settings.max_body_size,
            Asked::Session(_) => cx.settings.messages.max_message_size,
        };
        let reader = match (BodyReader::new(head.body()?, max_body_size), asked) {
            (Err(error), Asked::App) => return Err(error),
            (reader, _) => reader.ok(),
        };
        let complete = reader.as_ref().is_some_and(BodyReader::done);
        let expects_continue = head.expects_continue();
        if expects_continue && reader.is_some() && !complete && !is_handed_over {
            cx.out.extend_from_slice(http::CONTINUE);
        }
        let request = self.request_of(conn, head, cx);
        let exchange = self.exchange_of(head);
        let Some(reader) = reader else {
            self.ask_too_big(Box::new(request), exchange, asked, cx);
            return Ok(Step::Consumed(length));
        };
        self.state = State::ReadingBody(Box::new(PartialRequest {
            request,
            head_bytes: length + FIELD_COST * head.headers.len(),
            asked,
            reader,
            exchange,
            discards: false,
            expects_continue,
        }));
        self.deadline = cx.now_ms + cx.settings.keep_alive_timeout;
        if complete || is_handed_over {
            self.ask(cx);
        } else {
            self.announce_request(conn, cx);
        }
        Ok(Step::Consumed(length))
    }

    pub(super) fn exchange_of(&self, head: &Head<'_>) -> Exchange {
        Exchange {
            keep_alive: head.keep_alive() && !self.over_limit,
            head_only: head.method == "HEAD",
            version: head.version,
        }
    }

    pub(super) fn request_of(&self, conn: ConnId, head: &Head<'_>, cx: &Context) -> HttpRequest {
        HttpRequest {
            conn,
            method: head.method.into(),
            target: head.target.into(),
            version: head.version,
            headers: fields_of(head),
            body: Vec::new(),
            more: false,
            upgrade: None,
            ends: self.ends_of(head, cx),
            certificate_names: self.certificate_names.clone(),
        }
    }

    /// The ends of the connection, or of the client's, where a proxy that is trusted has passed the request on. One connection
    /// of a proxy may carry the requests of many clients.
    pub(super) fn ends_of(&self, head: &Head<'_>, cx: &Context) -> Ends {
        let Some(forwarded) = cx.settings.trusted_proxies.read(self.ends.peer, head) else {
            return self.ends;
        };
        Ends {
            peer: forwarded.client,
            local: self.ends.local,
            proxy: Some(self.ends.proxy.unwrap_or(self.ends.peer.ip())),
            is_secure: forwarded.is_secure.unwrap_or(self.ends.is_secure),
        }
    }

    /// Hands the request to the app, with its body or before that has come, if there is room for what it holds until it is answered.
    pub(super) fn ask(&mut self, cx: &mut Context) {
        let State::ReadingBody(reading) = &self.state else {
            return;
        };
        let (bytes, conn) = (reading.bytes(), reading.request.conn);
        let others = cx.asked_bytes.saturating_sub(self.counted.into());
        if bytes > SMALL_REQUEST && others + bytes as u64 > cx.max_asked_bytes() {
            self.turn_away(conn, cx);
            return;
        }
        let State::ReadingBody(mut reading) = std::mem::replace(&mut self.state, State::Reading)
        else {
            return;
        };
        self.wait_for_answer(reading.exchange, reading.asked);
        self.asked_bytes = bytes;
        if !reading.reader.done() {
            reading.request.more = true;
            let patience_ms = cx.settings.keep_alive_timeout;
            let upload = Upload::new(reading.reader, reading.expects_continue, patience_ms);
            self.upload = Some(Box::new(upload));
            self.time_upload(cx);
        }
        cx.stats.http_requests_total += 1;
        let request = Box::new(reading.request);
        match reading.asked {
            Asked::App => cx.tell(Event::HttpRequest(request)),
            Asked::Session(endpoint) => {
                cx.requests
                    .push_back(EngineIoRequest::Http(endpoint, request));
            }
        }
    }

    pub(super) fn wait_for_answer(&mut self, exchange: Exchange, asked: Asked) {
        self.state = State::Asked(exchange, asked);
        self.fresh = false;
        self.deadline = u64::MAX;
        if !exchange.keep_alive {
            self.be_last();
        }
    }

    /// The Engine.IO session that answers the request at hand, and has its body, from here on.
    pub(crate) fn is_answered_by(&mut self, session: Option<ConnId>) {
        self.session = session;
        self.asked_bytes = 0;
    }

    /// The session has ended that the packets which are coming in are for.
    pub(crate) fn discard_body(&mut self) {
        if let State::ReadingBody(reading) = &mut self.state {
            reading.discards = true;
            reading.request.body = Vec::new();
        }
    }

    /// A session's request has too much of a body: it is for the session to refuse, and to end.
    pub(super) fn ask_too_big(
        &mut self,
        request: Box<HttpRequest>,
        exchange: Exchange,
        asked: Asked,
        cx: &mut Context,
    ) {
        let exchange = Exchange {
            keep_alive: false,
            ..exchange
        };
        self.wait_for_answer(exchange, asked);
        cx.requests.push_back(EngineIoRequest::TooBig(request));
    }

    /// A body that goes wrong in the middle.
    pub(super) fn on_bad_body(
        &mut self,
        error: HttpError,
        cx: &mut Context,
    ) -> Result<Step, HttpError> {
        let state = std::mem::replace(&mut self.state, State::Reading);
        match state {
            State::ReadingBody(reading)
                if error == HttpError::BodyTooLarge && reading.asked != Asked::App =>
            {
                let (request, asked) = (Box::new(reading.request), reading.asked);
                self.ask_too_big(request, reading.exchange, asked, cx);
                Ok(Step::Wait)
            }
            state => {
                self.state = state;
                self.lose_request(cx);
                Err(error)
            }
        }
    }

    /// A request is coming whose session must not be sent another meanwhile; or which is none for a session, and will
    /// be refused when it is there.
    pub(super) fn announce_request(&mut self, http: ConnId, cx: &mut Context) {
        match (self.session_of_request(), &self.state) {
            (Some(sid), _) => cx.requests.push_back(EngineIoRequest::Coming { http, sid }),
            (None, State::ReadingBody(reading)) if reading.asked != Asked::App => {
                self.discard_body();
            }
            (None, _) => {}
        }
    }

    /// A request of which only a part has come is over: so is the session that it was for.
    pub(super) fn lose_request(&self, cx: &mut Context) {
        if let Some(sid) = self.session_of_request() {
            cx.requests.push_back(EngineIoRequest::Cut(sid));
        }
    }

    /// The session that the packets are for which are coming in.
    pub(crate) fn session_of_request(&self) -> Option<Sid> {
        match &self.state {
            State::ReadingBody(reading)
                if reading.asked != Asked::App && reading.request.method == "POST" =>
            {
                Query::of(&reading.request.target).sid.and_then(Sid::parse)
            }
            _ => None,
        }
    }
}

/// The fields of a request, names in lower case. An absolute target's authority replaces Host, whatever that says (RFC
/// 9112 §3.2.2).
fn fields_of(head: &Head<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let field = |field: &Header<'_>| {
        let name = field.name.to_ascii_lowercase().into_bytes();
        let value = match (&name[..], head.host()) {
            (b"host", Some(host)) => host,
            _ => field.value,
        };
        (name, value.to_vec())
    };
    head.headers.iter().map(field).collect()
}
