//! A socket that speaks HTTP: requests to the app, and the upgrade that makes it a WebSocket.
//!
//! | state | request complete | response | response complete | deadline |
//! |---|---|---|---|---|
//! | reading | asked, or upgraded | — | — | 408, or closed if it idled between requests |
//! | asked | kept for later | answering | reading, or closing | — (the app's time) |
//! | answering | kept for later | answering | reading, or closing | — |
//! | closing | discarded | — | — | closed |

use std::net::SocketAddr;

use dscore_proto::close::CloseCode;
use dscore_proto::handshake::{self, UpgradeRules};
use dscore_proto::http::{self, BodyReader, Framing, Head, HttpError};

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
    ReadingBody(Box<(HttpRequest, BodyReader, bool)>),
    /// The app has the request.
    Asked(Exchange),
    /// The head of the response is out.
    Answering(Exchange, Framing),
    /// Everything is said.
    Closing {
        half_closed: bool,
    },
}

/// What the response must know of its request.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    keep_alive: bool,
    /// The response has no body: that to HEAD, and some statuses.
    bodiless: bool,
    version: u8,
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
        if matches!(self.state, State::Closing { .. }) {
            return None;
        }
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
                let (request, reader, _) = &mut **reading;
                let consumed = reader.push(bytes, &mut request.body)?;
                if reader.done() {
                    self.ask(cx);
                    return Ok(Step::Consumed(consumed));
                }
                Ok(if consumed == 0 {
                    Step::Wait
                } else {
                    Step::Consumed(consumed)
                })
            }
            State::Asked(_) | State::Answering(..) | State::Closing { .. } => Ok(Step::Wait),
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
                None => Step::Wait,
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
        let keep_alive = head.keep_alive() && !self.over_limit;
        let complete = reader.done();
        self.state = State::ReadingBody(Box::new((request, reader, keep_alive)));
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
        let (request, _, keep_alive) = *reading;
        let bodiless = request.method == "HEAD";
        self.state = State::Asked(Exchange {
            keep_alive,
            bodiless,
            version: request.version,
        });
        self.fresh = false;
        self.deadline = u64::MAX;
        cx.stats.http_requests_total += 1;
        cx.tell(Event::HttpRequest(Box::new(request)));
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
        // RFC 9110 §6.4.1: neither has content, whatever the app gave.
        let bodiless = exchange.bodiless || matches!(response.status, 204 | 304);
        let framing = framing(response, bodiless, exchange.version);
        let keep_alive = exchange.keep_alive && (bodiless || framing != Framing::None);
        let exchange = Exchange {
            keep_alive,
            bodiless,
            ..exchange
        };
        let headers: Vec<(&[u8], &[u8])> = response
            .headers
            .iter()
            .map(|(name, value)| (&name[..], &value[..]))
            .collect();
        let encoded =
            http::encode_response_head(response.status, &headers, framing, keep_alive, &mut cx.out);
        if let Err(error) = encoded {
            self.refuse(500, &error.to_string(), cx);
            return;
        }
        // A body that the app promised in full is counted down: what is missing or too much must not reach the next
        // response on this connection.
        self.state = State::Answering(exchange, framing);
        self.respond_more(&response.body, response.more, cx);
    }

    /// Goes on with the response.
    pub(crate) fn respond_more(&mut self, body: &[u8], more: bool, cx: &mut Context) {
        let State::Answering(exchange, framing) = &mut self.state else {
            return;
        };
        if !exchange.bodiless {
            match framing {
                Framing::Length(left) => {
                    let fits = body.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    cx.out.extend_from_slice(&body[..fits]);
                    *left -= fits as u64;
                    exchange.keep_alive &= fits == body.len();
                }
                Framing::Chunked => http::encode_chunk(body, &mut cx.out),
                Framing::None => cx.out.extend_from_slice(body),
            }
        }
        if more {
            return;
        }
        if !exchange.bodiless && *framing == Framing::Chunked {
            http::encode_last_chunk(&mut cx.out);
        }
        let short = !exchange.bodiless && matches!(framing, Framing::Length(1..));
        if exchange.keep_alive && !short {
            self.state = State::Reading;
            self.deadline = cx.now_ms + cx.settings.keep_alive_timeout;
        } else {
            self.begin_closing(cx);
        }
    }

    /// True while the app has a request of this connection.
    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.state, State::Asked(_) | State::Answering(..))
    }

    /// True when the next request may be in what was read already.
    pub(crate) fn has_input(&self) -> bool {
        matches!(self.state, State::Reading) && !self.input.is_empty()
    }

    /// True while the connection waits for its next request, and nothing of that has come.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Reading) && self.input.is_empty() && !self.fresh
    }

    /// Whether input is wanted: while a request waits for its answer, one head's worth of the next at most; while an
    /// answer waits for the socket, nothing: whoever asks on and on and takes no answer would fill our memory.
    pub(crate) fn wants_read(&self, output_waits: bool) -> bool {
        match self.state {
            State::Reading | State::ReadingBody(_) => !output_waits,
            State::Asked(_) | State::Answering(..) => self.input.is_empty(),
            State::Closing { .. } => true,
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

/// How the end of a response is told (RFC 9112 §6.3). Without a body, a length is what the body would have.
fn framing(response: &Response, bodiless: bool, version: u8) -> Framing {
    match content_length(&response.headers) {
        Some(promised) if bodiless || response.more => Framing::Length(promised),
        None if matches!(response.status, 204 | 304) => Framing::None,
        _ if !response.more => Framing::Length(response.body.len() as u64),
        _ if version >= 1 => Framing::Chunked,
        _ => Framing::None,
    }
}

fn content_length(headers: &[(Vec<u8>, Vec<u8>)]) -> Option<u64> {
    let (_, value) = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(b"content-length"))?;
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}
