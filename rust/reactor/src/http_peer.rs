//! A socket that speaks HTTP: requests to the app or to an Engine.IO session, and the upgrade that makes it a WebSocket.
//!
//! | state | a request is complete | a response begins | whole response | further part | last part | deadline | end of input |
//! |---|---|---|---|---|---|---|---|
//! | reading | asked | reading | reading | reading | reading | closing | closing |
//! | reading body | asked | reading body | reading body | reading body | reading body | closing | closing |
//! | idle | asked | idle | idle | idle | idle | given up | given up |
//! | queued | queued | queued | queued | queued | queued | — | given up |
//! | asked | asked | answering | idle | asked | asked | — | asked |
//! | answering | answering | answering | answering | answering | idle | — | answering |
//! | closing | closing | closing | closing | closing | closing | given up | given up |
//!
//! Reading means that some of a request has come, or that none ever has; its deadline is answered 408. A request that
//! is complete while another is asked or answered waits for its turn. Where a connection is not to be used again,
//! closing stands in the place of idle. A bad request, and a refused upgrade, lead to closing from everywhere. Whether
//! the app or an Engine.IO session is asked is all the same here, but that a session is asked too when a body is too large:
//! it does not survive that. A request for another reactor's session leaves with its socket instead of being asked.
//!
//! Queued means that the head of an upgrade, or of an Engine.IO opening, waits in the input for its turn ([`crate::pacer`]):
//! it is read anew then. The wait is ours, so no deadline of the client's counts.
//!
//! A client may shut its side and still read (RFC 9293 §3.6.1): all that it has asked is answered, a part of a request
//! with 400, and then its connection is given up. One that has gone altogether looks the same until it is sent something,
//! so an app that is silent for `keep_alive_timeout` hears that it has. A session is not to learn that late: a poll is
//! answered at once, and the connection watched for `close_timeout` for the reset that a client answers which is gone.

mod asking;
mod turn;
mod upgrade;

use dscore_proto::engineio::Query;
use dscore_proto::http::{self, BodyReader, Head, HttpError, Particulars};
use dscore_traffic::command::Response;
use dscore_traffic::event::{Ends, Event, HttpRequest};
use dscore_traffic::{ConnId, Endpoint};
use httparse::Header;

use crate::answer::{Answer, Exchange};
use crate::context::Context;
use crate::conversation::Conversation;
use crate::dialect::Dialect;
use crate::session_request::SessionRequest;
use crate::sid::Sid;

/// One HTTP connection.
#[derive(Debug)]
pub(crate) struct HttpPeer {
    ends: Ends,
    /// It came when the connection limit was reached: requests are answered, an upgrade is closed 1013.
    over_limit: bool,
    state: State,
    /// Input that no request has used yet.
    input: Vec<u8>,
    /// Its first request is not complete yet.
    fresh: bool,
    /// The turn of the upgrade or opening in the input has come.
    has_turn: bool,
    deadline: u64,
    /// The client sends no more.
    input_ended: bool,
    /// The request at hand is HEAD: whatever is said to it has no content.
    is_head: bool,
    /// The session whose poll was answered after its client had ended its side: it ends if that client is not there any
    /// more, which shows as a broken connection.
    answered_session: Option<ConnId>,
    /// The connection has broken.
    pub(crate) is_broken: bool,
    /// No request is taken after the one at hand, so nothing that follows it is kept.
    is_last: bool,
    /// Bytes of the request at hand, for as long as its answer is not complete: who answers it holds them.
    asked_bytes: usize,
    /// Those that were counted among the requests of all that wait for their answer.
    pub(crate) counted: u32,
    /// The Engine.IO session that has its request.
    pub(crate) session: Option<ConnId>,
}

#[derive(Debug)]
enum State {
    Reading,
    /// The head was read, the body is coming.
    ReadingBody(Box<PartialRequest>),
    /// The app has the request, or an Engine.IO session.
    Asked(Exchange, Asked),
    /// The head of the response is out.
    Answering(Answer),
    /// An upgrade or an opening waits for its turn, since when.
    Queued {
        since_ms: u64,
        /// How much input there was by then.
        held: usize,
    },
    /// Everything is said.
    Closing {
        half_closed: bool,
    },
}

/// Who answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    App,
    /// A session of this endpoint.
    Session(Endpoint),
}

/// What a connection is, when it is no longer an HTTP connection of this reactor.
#[derive(Debug)]
pub(crate) enum Became {
    /// A WebSocket: with the input that is its own, and why it is turned away, if it is.
    WebSocket(Box<Conversation>, Vec<u8>, Option<&'static str>),
    /// Another reactor's, which has the session that it asks for.
    Elsewhere(u8),
}

/// What a header field costs beside its bytes, until its request is answered.
const FIELD_COST: usize = 64;

/// A request whose body is coming.
#[derive(Debug)]
struct PartialRequest {
    request: HttpRequest,
    /// Bytes of its head.
    head_bytes: usize,
    asked: Asked,
    reader: BodyReader,
    exchange: Exchange,
    /// Its session has ended: the body is only waited out.
    discards: bool,
}

impl PartialRequest {
    fn bytes(&self) -> usize {
        self.head_bytes + self.request.body.capacity()
    }
}

/// What a complete head leads to.
enum Step {
    /// More input is needed, or the app's answer.
    Wait,
    /// The head took so many bytes; look at the rest.
    Consumed(usize),
    /// A WebSocket from here on.
    Upgraded(usize, Conversation),
    /// Another reactor's from here on, head and all.
    Elsewhere(u8),
}

impl HttpPeer {
    pub(crate) fn new(ends: Ends, over_limit: bool, cx: &mut Context) -> Self {
        cx.stats.http_connections += 1;
        let deadline = cx.now_ms + cx.settings.handshake_timeout;
        Self {
            ends,
            over_limit,
            state: State::Reading,
            input: Vec::new(),
            fresh: true,
            has_turn: false,
            deadline,
            input_ended: false,
            is_head: false,
            answered_session: None,
            is_broken: false,
            is_last: false,
            asked_bytes: 0,
            counted: 0,
            session: None,
        }
    }

    /// Acts on `input`; returns what this became, unless it goes on as it is.
    pub(crate) fn on_data(
        &mut self,
        conn: ConnId,
        input: &[u8],
        cx: &mut Context,
    ) -> Option<Became> {
        // Nearly always a request comes whole, and is read where it lies.
        let kept;
        let bytes = if self.input.is_empty() {
            input
        } else {
            let mut all = std::mem::take(&mut self.input);
            all.extend_from_slice(input);
            kept = all;
            &kept[..]
        };
        let mut rest = bytes;
        loop {
            match self.step(conn, rest, cx) {
                Ok(Step::Consumed(count)) => rest = rest.get(count..).unwrap_or_default(),
                Ok(Step::Wait) => break,
                Ok(Step::Upgraded(count, websocket)) => {
                    cx.stats.http_connections -= 1;
                    let input = rest.get(count..).unwrap_or_default().to_vec();
                    let may_watch = websocket.session.is_stranger();
                    let turned_away = self.turned_away(may_watch, cx);
                    return Some(Became::WebSocket(Box::new(websocket), input, turned_away));
                }
                Ok(Step::Elsewhere(reactor)) => {
                    self.input = rest.to_vec();
                    return Some(Became::Elsewhere(reactor));
                }
                Err(error) => {
                    self.refuse(error.status(), &error.to_string(), cx);
                    return None;
                }
            }
        }
        if !self.is_last {
            self.input = rest.to_vec();
        }
        if self.input_ended {
            self.break_off(cx);
        }
        None
    }

    fn step(&mut self, conn: ConnId, bytes: &[u8], cx: &mut Context) -> Result<Step, HttpError> {
        match &mut self.state {
            State::Reading if bytes.is_empty() => Ok(Step::Wait),
            // RFC 9112 §2.2: such a line before a request belongs to none.
            State::Reading if bytes.starts_with(b"\r\n") => Ok(Step::Consumed(2)),
            State::Reading => {
                self.is_head = bytes.starts_with(b"HEAD ");
                let mut slots = [httparse::EMPTY_HEADER; http::MAX_HEADERS];
                match http::parse_head(bytes, &mut slots, cx.settings.max_header_size)? {
                    None => Ok(Step::Wait),
                    Some((head, length)) => self.on_head(conn, &head, length, cx),
                }
            }
            State::ReadingBody(reading) => {
                let pushed = reading.reader.push(bytes, &mut reading.request.body);
                if reading.discards {
                    reading.request.body = Vec::new();
                }
                let consumed = match pushed {
                    Ok(consumed) => consumed,
                    Err(error) => return self.on_bad_body(error, cx),
                };
                if reading.reader.done() {
                    self.ask(cx);
                    return Ok(Step::Consumed(consumed));
                }
                Ok(if consumed == 0 {
                    Step::Wait
                } else {
                    Step::Consumed(consumed)
                })
            }
            State::Asked(..) | State::Answering(_) | State::Queued { .. } => Ok(Step::Wait),
            State::Closing { .. } if bytes.is_empty() => Ok(Step::Wait),
            State::Closing { .. } => Ok(Step::Consumed(bytes.len())),
        }
    }

    fn on_head(
        &mut self,
        conn: ConnId,
        head: &Head<'_>,
        length: usize,
        cx: &mut Context,
    ) -> Result<Step, HttpError> {
        let asked = match cx.settings.endpoint(head.path()) {
            None => Asked::App,
            Some(endpoint) if endpoint.speaks_engine_io() => {
                let sid = Query::of(head.target).sid.and_then(Sid::parse);
                if let Some(sid) = sid.filter(|sid| cx.is_elsewhere(sid.conn)) {
                    return Ok(Step::Elsewhere(sid.conn.reactor()));
                }
                if head.wants_upgrade() {
                    return Ok(self.upgrade_engine_io(conn, head, length, endpoint, cx));
                }
                if self.opens_session(head, cx)
                    && let Some(step) = self.wait_for_turn(conn, length, cx)
                {
                    return Ok(step);
                }
                Asked::Session(endpoint)
            }
            Some(endpoint) if head.method == "OPTIONS" => {
                self.tell_methods(head, endpoint, cx);
                return Ok(Step::Consumed(length));
            }
            Some(endpoint) => {
                let Some(accept) = self.accept(head, cx) else {
                    return Ok(Step::Consumed(length));
                };
                if let Some(step) = self.wait_for_turn(conn, length, cx) {
                    return Ok(step);
                }
                cx.out.extend_from_slice(&accept);
                let dialect = Dialect::Raw;
                let websocket = self.open(conn, head, endpoint, dialect, cx);
                return Ok(Step::Upgraded(length, websocket));
            }
        };
        let max_body_size = match asked {
            Asked::App => cx.settings.max_body_size,
            Asked::Session(_) => cx.settings.messages.max_message_size,
        };
        let reader = BodyReader::new(head.body()?, max_body_size);
        let reader = match (reader, asked) {
            (Err(error), Asked::App) => return Err(error),
            (reader, _) => reader.ok(),
        };
        let complete = reader.as_ref().is_some_and(BodyReader::done);
        if head.expects_continue() && reader.is_some() && !complete {
            cx.out.extend_from_slice(http::CONTINUE);
        }
        let request = HttpRequest {
            conn,
            method: head.method.into(),
            target: head.target.into(),
            version: head.version,
            headers: fields_of(head),
            body: Vec::new(),
            ends: self.ends,
        };
        let exchange = Exchange {
            keep_alive: head.keep_alive() && !self.over_limit,
            head_only: head.method == "HEAD",
            version: head.version,
        };
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
        }));
        self.deadline = cx.now_ms + cx.settings.keep_alive_timeout;
        if complete {
            self.ask(cx);
        } else {
            self.announce_request(conn, cx);
        }
        Ok(Step::Consumed(length))
    }

    /// The input that belongs to whatever this connection is from here on.
    pub(crate) fn take_input(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// Where it comes from and to, and whether it came when the connection limit was reached.
    pub(crate) fn origin(&self) -> (Ends, bool) {
        (self.ends, self.over_limit)
    }

    /// Starts the response. Bytes that may not go into a head are the app's fault: 500.
    pub(crate) fn respond(&mut self, response: &Response, cx: &mut Context) {
        let State::Asked(exchange, _) = self.state else {
            return;
        };
        let (date, out) = cx.date_and_out();
        match Answer::begin(exchange, response, date, out) {
            Ok(answer) => self.state = State::Answering(answer),
            Err(error) => {
                self.refuse(500, &error.to_string(), cx);
                return;
            }
        }
        self.respond_more(&response.body, response.more, cx);
    }

    /// Goes on with the response.
    pub(crate) fn respond_more(&mut self, body: &[u8], more: bool, cx: &mut Context) {
        let State::Answering(answer) = &mut self.state else {
            return;
        };
        answer.push(body, &mut cx.out);
        if more {
            if self.input_ended {
                self.deadline = cx.now_ms + cx.settings.keep_alive_timeout;
            }
            return;
        }
        self.asked_bytes = 0;
        if answer.finish(&mut cx.out) && !self.is_last {
            self.state = State::Reading;
            self.deadline = cx.now_ms + cx.settings.keep_alive_timeout;
        } else {
            self.begin_closing(cx);
        }
    }

    /// The client sends no more; it may have gone, or wait for its answers.
    pub(crate) fn on_end(&mut self, conn: ConnId, cx: &mut Context) {
        if std::mem::replace(&mut self.input_ended, true) {
            return;
        }
        match &mut self.state {
            State::Asked(exchange, asked) => {
                exchange.keep_alive &= !self.input.is_empty();
                if *asked == Asked::App {
                    self.deadline = cx.now_ms + cx.settings.keep_alive_timeout;
                } else {
                    cx.requests.push_back(SessionRequest::CloseInfo(conn));
                }
            }
            State::Answering(_) => self.deadline = cx.now_ms + cx.settings.keep_alive_timeout,
            State::Reading
            | State::ReadingBody(_)
            | State::Queued { .. }
            | State::Closing { .. } => {}
        }
    }

    /// RFC 9112 §8: what has come of a request when the client sends no more is none.
    fn break_off(&mut self, cx: &mut Context) {
        let has_begun = match self.state {
            State::Reading => !self.input.is_empty(),
            State::ReadingBody(_) => true,
            State::Queued { .. }
            | State::Asked(..)
            | State::Answering(_)
            | State::Closing { .. } => false,
        };
        if has_begun {
            self.lose_request(cx);
            self.refuse(400, "the request broke off", cx);
        }
    }

    /// True when the client sends no more and is owed nothing: what was written is all there will be.
    pub(crate) fn is_exhausted(&self) -> bool {
        let is_owed = matches!(self.state, State::Asked(..) | State::Answering(_));
        self.input_ended && !is_owed && self.answered_session.is_none()
    }

    /// A poll of this session is answered though its client has ended its side.
    pub(crate) fn watch_for(&mut self, session: ConnId) {
        self.answered_session = Some(session);
    }

    /// The session that ends with this connection, if its client has turned out to be gone.
    pub(crate) fn lost_session(&self) -> Option<ConnId> {
        self.answered_session.filter(|_| self.is_broken)
    }

    /// The connection has gone: so has a session whose POST it was in the middle of.
    pub(crate) fn bury(&mut self, conn: ConnId, cx: &mut Context) {
        cx.stats.http_connections -= 1;
        if self.is_asked() {
            cx.tell(Event::HttpGone(conn));
        }
        self.leave_queue(conn, cx);
        self.lose_request(cx);
    }

    /// True while the app has a request of this connection.
    pub(crate) fn is_asked(&self) -> bool {
        matches!(
            self.state,
            State::Asked(_, Asked::App) | State::Answering(_)
        )
    }

    /// True when the next request may be in what was read already.
    pub(crate) fn has_input(&self) -> bool {
        matches!(self.state, State::Reading) && !self.input.is_empty()
    }

    /// True while nothing of a request has come, be it the first or the next.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.state, State::Reading) && self.input.is_empty()
    }

    /// True while the connection waits for its next request, and nothing of that has come.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Reading) && self.input.is_empty() && !self.fresh
    }

    /// Whether it is there for more than its first request, or for a long one.
    pub(crate) fn goes_on(&self) -> bool {
        match self.state {
            State::Reading => !self.fresh,
            State::ReadingBody(_) => true,
            State::Asked(..)
            | State::Answering(_)
            | State::Queued { .. }
            | State::Closing { .. } => false,
        }
    }

    /// Whether input is wanted: while a request waits for its answer, one read's worth of the next at most; while an
    /// answer waits for the socket, nothing: whoever asks on and on and takes no answer would fill our memory. After its
    /// end, never: it would be ready for ever.
    pub(crate) fn wants_read(&self, output_waits: bool) -> bool {
        match self.state {
            _ if self.input_ended => false,
            State::Reading | State::ReadingBody(_) => !output_waits,
            State::Asked(..) | State::Answering(_) => self.is_last || self.input.is_empty(),
            // One read's worth more, or one that leaves would not be noticed.
            State::Queued { held, .. } => self.input.len() <= held,
            State::Closing { .. } => true,
        }
    }

    /// Bytes of input that are held until the rest of it comes, its turn, or the end of its answer.
    pub(crate) fn held_input(&self) -> usize {
        let request = match &self.state {
            State::ReadingBody(partial) => partial.bytes(),
            State::Reading
            | State::Asked(..)
            | State::Answering(_)
            | State::Queued { .. }
            | State::Closing { .. } => 0,
        };
        self.input.capacity() + request + self.asked_bytes
    }

    /// Those of them that are held until the end of an answer: turning the connection away would not free them.
    pub(crate) fn asked_input(&self) -> usize {
        self.asked_bytes
    }

    /// All peers together hold too much input.
    pub(crate) fn turn_away(&mut self, conn: ConnId, cx: &mut Context) {
        self.leave_queue(conn, cx);
        match self.state {
            State::Reading | State::ReadingBody(_) => {
                self.lose_request(cx);
                self.refuse_for_want_of_room(cx);
            }
            // Too late for the request at hand, whose answer is under way: it is the last.
            State::Asked(..) | State::Answering(_) => self.be_last(),
            State::Queued { .. } | State::Closing { .. } => {}
        }
    }

    fn refuse_for_want_of_room(&mut self, cx: &mut Context) {
        cx.stats.refused_total += 1;
        self.refuse(503, "too many unfinished requests; try again later", cx);
    }

    fn be_last(&mut self) {
        self.is_last = true;
        self.input = Vec::new();
    }

    /// Keeps input for later; at the end there is no later.
    pub(crate) fn keep(&mut self, input: &[u8]) {
        if !self.is_last && !matches!(self.state, State::Closing { .. }) {
            self.input.extend_from_slice(input);
        }
    }

    /// Output still waits for the socket: the peer's time for the next step begins when it has taken that.
    pub(crate) fn postpone(&mut self, cx: &Context) {
        if self.deadline <= cx.now_ms {
            self.deadline = cx.now_ms
                + match self.state {
                    State::Closing { .. } => cx.settings.close_timeout,
                    _ => cx.settings.keep_alive_timeout,
                };
        }
    }

    pub(crate) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Does what is due. True if the socket is to be given up.
    pub(crate) fn on_timer(&mut self, cx: &mut Context) -> bool {
        if self.deadline > cx.now_ms {
            return false;
        }
        match self.state {
            State::Reading if self.fresh || !self.input.is_empty() => {
                self.refuse(408, "no complete request within the handshake timeout", cx);
                false
            }
            State::ReadingBody(_) => {
                self.lose_request(cx);
                self.refuse(408, "the request body did not arrive in time", cx);
                false
            }
            _ => true,
        }
    }

    /// True once, when everything is said and sent: the writing half is to be shut.
    pub(crate) fn is_over(&mut self) -> bool {
        match &mut self.state {
            // With both sides ended the kernel would report the same of a client that is there as of one that is not.
            State::Closing { .. } if self.answered_session.is_some() => false,
            State::Closing { half_closed } => !std::mem::replace(half_closed, true),
            _ => false,
        }
    }

    fn refuse(&mut self, status: u16, detail: &str, cx: &mut Context) {
        let (date, out) = cx.date_and_out();
        let beside = Particulars {
            date: Some(date),
            retry_after: None,
            head_only: self.is_head,
        };
        http::error_response(status, detail, beside, out);
        self.begin_closing(cx);
    }

    fn begin_closing(&mut self, cx: &Context) {
        self.state = State::Closing { half_closed: false };
        self.asked_bytes = 0;
        self.input = Vec::new();
        self.deadline = cx.now_ms + cx.settings.close_timeout;
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

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1).
pub(crate) fn bearer(value: &[u8]) -> Option<String> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests;
