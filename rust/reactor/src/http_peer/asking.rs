//! A request goes to who answers it when it is complete, or when it is clear that it never will be.

use dscore_proto::engineio::Query;
use dscore_proto::http::HttpError;
use dscore_traffic::ConnId;
use dscore_traffic::event::{Event, HttpRequest};

use super::{Asked, HttpPeer, State, Step};
use crate::answer::Exchange;
use crate::context::Context;
use crate::session_request::SessionRequest;
use crate::sid::Sid;

/// A whole request of at most so many bytes is answered however much all peers together hold: probes, metrics and the
/// operator get through any storm (PROTOCOL.md §10), and a connection has one such request at a time.
const SMALL_REQUEST: usize = 4096;

impl HttpPeer {
    /// Hands the request that is complete to the app, if there is room for what it holds until it is answered.
    pub(super) fn ask(&mut self, cx: &mut Context) {
        let State::ReadingBody(reading) = &self.state else {
            return;
        };
        let (bytes, conn) = (reading.bytes(), reading.request.conn);
        let others = cx.asked_bytes.saturating_sub(self.counted.into());
        if bytes > SMALL_REQUEST && others + bytes as u64 > cx.most_asked_bytes() {
            self.turn_away(conn, cx);
            return;
        }
        let State::ReadingBody(reading) = std::mem::replace(&mut self.state, State::Reading) else {
            return;
        };
        self.wait_for_answer(reading.exchange, reading.asked);
        self.asked_bytes = bytes;
        cx.stats.http_requests_total += 1;
        let request = Box::new(reading.request);
        match reading.asked {
            Asked::App => cx.tell(Event::HttpRequest(request)),
            Asked::Session(endpoint) => {
                cx.requests
                    .push_back(SessionRequest::Http(endpoint, request));
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
        cx.requests.push_back(SessionRequest::TooBig(request));
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
            (Some(sid), _) => cx.requests.push_back(SessionRequest::Coming { http, sid }),
            (None, State::ReadingBody(reading)) if reading.asked != Asked::App => {
                self.discard_body();
            }
            (None, _) => {}
        }
    }

    /// A request of which only a part has come is over: so is the session that it was for.
    pub(super) fn lose_request(&self, cx: &mut Context) {
        if let Some(sid) = self.session_of_request() {
            cx.requests.push_back(SessionRequest::Cut(sid));
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
