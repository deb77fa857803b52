//! A socket that speaks HTTP: requests to the app, and the upgrade that makes it a WebSocket.
//!
//! | state | a request is complete | a response begins | whole response | further part | last part | deadline |
//! |---|---|---|---|---|---|---|
//! | reading | asked | reading | reading | reading | reading | closing |
//! | reading body | asked | reading body | reading body | reading body | reading body | closing |
//! | idle | asked | idle | idle | idle | idle | given up |
//! | asked | asked | answering | idle | asked | asked | — |
//! | answering | answering | answering | answering | answering | idle | — |
//! | closing | closing | closing | closing | closing | closing | given up |
//!
//! Reading means that some of a request has come, or that none ever has; its deadline is answered 408. A request that
//! is complete while another is asked or answered waits for its turn. Where a connection is not to be used again,
//! closing stands in the place of idle. A bad request, and a refused upgrade, lead to closing from everywhere.

use std::net::SocketAddr;

use dscore_proto::close::CloseCode;
use dscore_proto::handshake::{self, UpgradeRules};
use dscore_proto::http::{self, BodyReader, Head, HttpError};

use crate::answer::{Answer, Exchange};
use crate::command::{Farewell, Response};
use crate::context::Context;
use crate::event::{Event, HttpRequest, Opened};
use crate::settings::{Endpoint, Gate};
use crate::table::ConnId;
use crate::websocket_peer::WebSocketPeer;

/// One HTTP connection.
#[derive(Debug)]
pub(crate) struct HttpPeer {
    peer: SocketAddr,
    /// It came when the connection limit was reached: requests are answered, an upgrade is closed 1013.
    over_limit: bool,
    state: State,
    /// Input that no request has used yet.
    input: Vec<u8>,
    /// Its first request is not complete yet.
    fresh: bool,
    deadline: u64,
}

#[derive(Debug)]
enum State {
    Reading,
    /// The head was read, the body is coming.
    ReadingBody(Box<PartialRequest>),
    /// The app has the request.
    Asked(Exchange),
    /// The head of the response is out.
    Answering(Answer),
    /// Everything is said.
    Closing {
        half_closed: bool,
    },
}

/// A request whose body is coming.
#[derive(Debug)]
struct PartialRequest {
    request: HttpRequest,
    reader: BodyReader,
    exchange: Exchange,
}

/// What a complete head leads to.
enum Step {
    /// More input is needed, or the app's answer.
    Wait,
    /// The head took so many bytes; look at the rest.
    Consumed(usize),
    /// A WebSocket from here on.
    Upgraded(usize, WebSocketPeer),
}

impl HttpPeer {
    pub(crate) fn new(peer: SocketAddr, over_limit: bool, cx: &mut Context) -> Self {
        cx.stats.http_connections += 1;
        let deadline = cx.now_ms + cx.settings.handshake_timeout;
        Self {
            peer,
            over_limit,
            state: State::Reading,
            input: Vec::new(),
            fresh: true,
            deadline,
        }
    }

    /// Acts on `input`; returns the WebSocket this became, and the input that is its own.
    pub(crate) fn on_data(
        &mut self,
        conn: ConnId,
        input: &[u8],
        cx: &mut Context,
    ) -> Option<(WebSocketPeer, Vec<u8>)> {
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
                    return Some((websocket, rest.get(count..).unwrap_or_default().to_vec()));
                }
                Err(error) => {
                    self.refuse(error.status(), &error.to_string(), cx);
                    return None;
                }
            }
        }
        self.input = rest.to_vec();
        None
    }

    fn step(&mut self, conn: ConnId, bytes: &[u8], cx: &mut Context) -> Result<Step, HttpError> {
        match &mut self.state {
            State::Reading if bytes.is_empty() => Ok(Step::Wait),
            State::Reading => {
                let mut slots = [httparse::EMPTY_HEADER; http::MAX_HEADERS];
                match http::parse_head(bytes, &mut slots, cx.settings.max_header_size)? {
                    None => Ok(Step::Wait),
                    Some((head, length)) => self.on_head(conn, &head, length, cx),
                }
            }
            State::ReadingBody(reading) => {
                let consumed = reading.reader.push(bytes, &mut reading.request.body)?;
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
            State::Asked(_) | State::Answering(_) => Ok(Step::Wait),
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
        if let Some(endpoint) = cx.settings.endpoint(head.path()) {
            return Ok(match self.upgrade(conn, head, endpoint, cx) {
                Some(websocket) => Step::Upgraded(length, websocket),
                None => Step::Consumed(length),
            });
        }
        let reader = BodyReader::new(head.body()?, cx.settings.max_body_size)?;
        if head.expects_continue() && !reader.done() {
            cx.out.extend_from_slice(http::CONTINUE);
        }
        let request = HttpRequest {
            conn,
            method: head.method.into(),
            target: head.target.into(),
            version: head.version,
            headers: head
                .headers
                .iter()
                .map(|field| {
                    (
                        field.name.to_ascii_lowercase().into_bytes(),
                        field.value.to_vec(),
                    )
                })
                .collect(),
            body: Vec::new(),
            peer: self.peer,
        };
        let exchange = Exchange {
            keep_alive: head.keep_alive() && !self.over_limit,
            head_only: head.method == "HEAD",
            version: head.version,
        };
        let complete = reader.done();
        self.state = State::ReadingBody(Box::new(PartialRequest {
            request,
            reader,
            exchange,
        }));
        self.deadline = cx.now_ms + cx.settings.keep_alive_timeout;
        if complete {
            self.ask(cx);
        }
        Ok(Step::Consumed(length))
    }

    /// Hands the request that is complete to the app.
    fn ask(&mut self, cx: &mut Context) {
        let State::ReadingBody(reading) = std::mem::replace(&mut self.state, State::Reading) else {
            return;
        };
        self.state = State::Asked(reading.exchange);
        self.fresh = false;
        self.deadline = u64::MAX;
        cx.stats.http_requests_total += 1;
        cx.tell(Event::HttpRequest(Box::new(reading.request)));
    }

    fn upgrade(
        &mut self,
        conn: ConnId,
        head: &Head<'_>,
        endpoint: Endpoint,
        cx: &mut Context,
    ) -> Option<WebSocketPeer> {
        let settings = cx.settings.clone();
        let rules = UpgradeRules {
            origins: &settings.origins,
            subprotocols: &settings.subprotocols,
        };
        match handshake::accept(head, &rules) {
            Ok(accept) => accept.encode(&mut cx.out),
            Err(error) => {
                cx.stats.handshake_failures_total += 1;
                self.refuse(error.status(), &error.to_string(), cx);
                return None;
            }
        }
        let mut websocket = WebSocketPeer::new(endpoint, cx);
        cx.tell(Event::Opened(Box::new(Opened {
            conn,
            endpoint,
            path: head.path().into(),
            peer: self.peer,
            bearer: bearer(head),
        })));
        if let Some(reason) = self.turned_away(cx.gate) {
            cx.stats.refused_total += 1;
            let farewell = Farewell::new(CloseCode::TRY_AGAIN_LATER, reason, "");
            websocket.close(&farewell, cx);
        }
        Some(websocket)
    }

    /// Why a newcomer is closed 1013, if it is. A refused upgrade would read as 1006 in a browser (PROTOCOL.md §6.2).
    fn turned_away(&self, gate: Gate) -> Option<&'static str> {
        match gate {
            Gate::Draining => Some("Server shutting down"),
            Gate::Maintenance => Some("Server temporarily unavailable"),
            Gate::Open if self.over_limit => Some("Server connection limit reached"),
            Gate::Open => None,
        }
    }

    /// Starts the response. Bytes that may not go into a head are the app's fault: 500.
    pub(crate) fn respond(&mut self, response: &Response, cx: &mut Context) {
        let State::Asked(exchange) = self.state else {
            return;
        };
        match Answer::begin(exchange, response, &mut cx.out) {
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
            return;
        }
        if answer.finish(&mut cx.out) {
            self.state = State::Reading;
            self.deadline = cx.now_ms + cx.settings.keep_alive_timeout;
        } else {
            self.begin_closing(cx);
        }
    }

    /// True while the app has a request of this connection.
    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.state, State::Asked(_) | State::Answering(_))
    }

    /// True when the next request may be in what was read already.
    pub(crate) fn has_input(&self) -> bool {
        matches!(self.state, State::Reading) && !self.input.is_empty()
    }

    /// True while the connection waits for its next request, and nothing of that has come.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Reading) && self.input.is_empty() && !self.fresh
    }

    /// Whether input is wanted: while a request waits for its answer, one read's worth of the next at most; while an
    /// answer waits for the socket, nothing: whoever asks on and on and takes no answer would fill our memory.
    pub(crate) fn wants_read(&self, output_waits: bool) -> bool {
        match self.state {
            State::Reading | State::ReadingBody(_) => !output_waits,
            State::Asked(_) | State::Answering(_) => self.input.is_empty(),
            State::Closing { .. } => true,
        }
    }

    /// Bytes of input that are held until the rest of it comes, or its turn.
    pub(crate) fn held_input(&self) -> usize {
        let body = match &self.state {
            State::ReadingBody(partial) => partial.request.body.capacity(),
            _ => 0,
        };
        self.input.capacity() + body
    }

    /// All peers together hold too much input.
    pub(crate) fn turn_away(&mut self, cx: &mut Context) {
        if matches!(self.state, State::Reading | State::ReadingBody(_)) {
            cx.stats.refused_total += 1;
            self.refuse(503, "too many unfinished requests; try again later", cx);
        }
    }

    /// Keeps input for later; at the end there is no later.
    pub(crate) fn keep(&mut self, input: &[u8]) {
        if !matches!(self.state, State::Closing { .. }) {
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
                self.refuse(408, "the request body did not arrive in time", cx);
                false
            }
            _ => true,
        }
    }

    /// True once, when everything is said and sent: the writing half is to be shut.
    pub(crate) fn is_over(&mut self) -> bool {
        match &mut self.state {
            State::Closing { half_closed } => !std::mem::replace(half_closed, true),
            _ => false,
        }
    }

    fn refuse(&mut self, status: u16, detail: &str, cx: &mut Context) {
        http::error_response(status, detail, None, &mut cx.out);
        self.begin_closing(cx);
    }

    fn begin_closing(&mut self, cx: &Context) {
        self.state = State::Closing { half_closed: false };
        self.input = Vec::new();
        self.deadline = cx.now_ms + cx.settings.close_timeout;
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1).
fn bearer(head: &Head<'_>) -> Option<String> {
    let value = std::str::from_utf8(head.header("authorization")?).ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, CONN, table_rows};

    fn in_state(state: &str, bench: &mut Bench) -> HttpPeer {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut peer = HttpPeer::new(address, false, &mut bench.cx);
        match state {
            "reading" => hears(&mut peer, "GET / HTTP", bench),
            "reading body" => hears(
                &mut peer,
                "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n",
                bench,
            ),
            "closing" => hears(&mut peer, "nonsense\r\n\r\n", bench),
            _ => {
                hears(&mut peer, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", bench);
                if state != "asked" {
                    peer.respond(&response(state == "answering"), &mut bench.cx);
                }
            }
        }
        peer
    }

    fn hears(peer: &mut HttpPeer, input: &str, bench: &mut Bench) {
        let upgraded = peer.on_data(CONN, input.as_bytes(), &mut bench.cx);
        assert!(upgraded.is_none());
    }

    fn response(more: bool) -> Response {
        Response {
            status: 200,
            headers: vec![],
            body: b"x".to_vec(),
            more,
            notify: false,
        }
    }

    fn state(peer: &HttpPeer) -> &'static str {
        match peer.state {
            State::Reading if peer.is_idle() => "idle",
            State::Reading => "reading",
            State::ReadingBody(_) => "reading body",
            State::Asked(_) => "asked",
            State::Answering(_) => "answering",
            State::Closing { .. } => "closing",
        }
    }

    /// Where the event of this column leads, in the words of the table.
    fn next(from: &str, column: usize) -> &'static str {
        let mut bench = Bench::new();
        let mut peer = in_state(from, &mut bench);
        assert_eq!(state(&peer), from);
        match column {
            1 => {
                let rest = match from {
                    "reading" => "/1.1\r\nHost: x\r\n\r\n",
                    "reading body" => "x",
                    _ => "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                };
                hears(&mut peer, rest, &mut bench);
            }
            2 => peer.respond(&response(true), &mut bench.cx),
            3 => peer.respond(&response(false), &mut bench.cx),
            4 => peer.respond_more(b"x", true, &mut bench.cx),
            5 => peer.respond_more(b"x", false, &mut bench.cx),
            _ if peer.deadline() == u64::MAX => return "—",
            _ => {
                bench.pass(peer.deadline() - bench.cx.now_ms);
                if peer.on_timer(&mut bench.cx) {
                    return "given up";
                }
            }
        }
        state(&peer)
    }

    #[test]
    fn states_follow_each_other_as_the_documented_table_says() {
        let rows = table_rows(include_str!("http_peer.rs"));
        assert_eq!(rows.len(), 6);
        for row in rows {
            for (column, expected) in row.iter().enumerate().skip(1) {
                assert_eq!(next(row[0], column), *expected, "{row:?}, column {column}");
            }
        }
    }

    #[test]
    fn a_refused_upgrade_keeps_nothing_of_what_came_with_it() {
        let mut bench = Bench::new();
        let mut peer = in_state("closing", &mut bench);
        assert!(peer.input.is_empty());
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        peer = HttpPeer::new(address, false, &mut bench.cx);
        hears(
            &mut peer,
            "GET /ws HTTP/1.1\r\nHost: x\r\n\r\nand much more",
            &mut bench,
        );
        assert_eq!((state(&peer), peer.input.len()), ("closing", 0));
    }
}
