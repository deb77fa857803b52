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
//! A body that the app is given as it comes does not hold its request up: see [`super::upload`].
//!
//! A client may shut its side and still read (RFC 9293 §3.6.1): all that it has asked is answered, a part of a request
//! with 400, and then its connection is given up. One that has gone altogether looks the same until it is sent something,
//! so an app that is silent for `keep_alive_timeout` hears that it has. A session is not to learn that late: a poll is
//! answered at once, and the connection watched for `close_timeout` for the reset that a client answers which is gone.

use std::sync::Arc;

use dscore_proto::handshake::Offer;
use dscore_proto::http::{self, BodyReader, HttpError};
use dscore_traffic::event::{Ends, HttpRequest};
use dscore_traffic::{ConnId, Endpoint};

use super::answer::{Answer, Exchange};
use super::body::Upload;
use crate::context::Context;
use crate::conversation::Conversation;

/// One HTTP connection.
#[derive(Debug)]
pub(crate) struct HttpPeer {
    pub(super) ends: Ends,
    /// It came when the connection limit was reached: requests are answered, an upgrade is closed 1013.
    pub(super) over_limit: bool,
    pub(super) state: State,
    /// The body of the request at hand, where the app is given that as it comes.
    pub(super) upload: Option<Box<Upload>>,
    /// What is to be answered where the request at hand asks for a WebSocket of a guest.
    pub(super) upgrade: Option<Box<Offer>>,
    /// Input that no request has used yet.
    pub(super) input: Vec<u8>,
    /// Its first request is not complete yet.
    pub(super) fresh: bool,
    /// The address of the client whose upgrade is at hand has as many conversations as one may have.
    pub(super) is_address_full: bool,
    /// The turn of the upgrade or opening in the input has come.
    pub(super) has_turn: bool,
    pub(super) deadline: u64,
    /// The client sends no more.
    pub(super) input_ended: bool,
    /// The request at hand is HEAD: whatever is said to it has no content.
    pub(super) is_head: bool,
    /// The session whose poll was answered after its client had ended its side: it ends if that client is not there any
    /// more, which shows as a broken connection.
    pub(super) answered_session: Option<ConnId>,
    /// The connection has broken.
    pub(crate) is_broken: bool,
    /// No request is taken after the one at hand, so nothing that follows it is kept.
    pub(super) is_last: bool,
    /// Bytes of the request at hand, for as long as its answer is not complete: who answers it holds them.
    pub(super) asked_bytes: usize,
    /// Those that were counted among the requests of all that wait for their answer.
    pub(crate) counted: u32,
    /// The Engine.IO session that has its request.
    pub(crate) session: Option<ConnId>,
    /// Of the client's certificate, if it showed one.
    pub(crate) certificate_names: Option<Arc<[String]>>,
}

#[derive(Debug)]
pub(super) enum State {
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
pub(super) enum Asked {
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

/// A request whose body is coming.
#[derive(Debug)]
pub(super) struct PartialRequest {
    pub(super) request: HttpRequest,
    /// Bytes of its head.
    pub(super) head_bytes: usize,
    pub(super) asked: Asked,
    pub(super) reader: BodyReader,
    pub(super) exchange: Exchange,
    /// Its session has ended: the body is only waited out.
    pub(super) discards: bool,
    /// The client waits for 100 (Continue), unless it has it.
    pub(super) expects_continue: bool,
}

impl PartialRequest {
    pub(super) fn bytes(&self) -> usize {
        self.head_bytes + self.request.body.capacity()
    }
}

/// What a complete head leads to.
pub(super) enum Step {
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
            upload: None,
            upgrade: None,
            input: Vec::new(),
            fresh: true,
            is_address_full: false,
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
            certificate_names: None,
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
                    let input = rest.get(count..).unwrap_or_default();
                    return Some(self.become_websocket(websocket, input, cx));
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
            self.break_off(conn, cx);
        }
        None
    }

    /// `input` is the WebSocket's own.
    pub(super) fn become_websocket(
        &self,
        websocket: Conversation,
        input: &[u8],
        cx: &mut Context,
    ) -> Became {
        cx.stats.http_connections -= 1;
        // In maintenance a guest's is served, as its requests are.
        let identity = &websocket.identity;
        let may_watch = identity.is_unauthenticated() || identity.is_guest();
        let turned_away = self.turned_away(may_watch, cx);
        Became::WebSocket(Box::new(websocket), input.to_vec(), turned_away)
    }

    fn step(&mut self, conn: ConnId, bytes: &[u8], cx: &mut Context) -> Result<Step, HttpError> {
        if self.is_receiving() {
            return self.receive_body(conn, bytes, cx);
        }
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

    /// The input that belongs to whatever this connection is from here on.
    pub(crate) fn take_input(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// Where it comes from and to, and whether it came when the connection limit was reached.
    pub(crate) fn origin(&self) -> (Ends, bool) {
        (self.ends, self.over_limit)
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
            State::Asked(..) | State::Answering(_) => self.upload.is_some(),
            State::Queued { .. } | State::Closing { .. } => false,
        }
    }

    /// Whether input is wanted: while a request waits for its answer, one read's worth of the next at most; while an
    /// answer waits for the socket, nothing: a client that asks on and on and takes no answer would fill our memory. After its
    /// end, never: it would be ready for ever.
    pub(crate) fn wants_read(&self, output_waits: bool) -> bool {
        match self.state {
            _ if self.input_ended => false,
            State::Reading | State::ReadingBody(_) => !output_waits,
            State::Asked(..) | State::Answering(_) if self.is_receiving() => self.wants_body(),
            State::Asked(..) | State::Answering(_) => self.is_last || self.input.is_empty(),
            // One read's worth more, or one that leaves would not be noticed.
            State::Queued { held, .. } => self.input.len() <= held,
            State::Closing { .. } => true,
        }
    }
}
