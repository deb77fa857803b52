//! What a socket asks of an Engine.IO session that is not its own: only the reactor has both at hand.

use dscore_proto::engineio::{HandshakeError, Revision};
use dscore_traffic::command::Response;
use dscore_traffic::event::HttpRequest;
use dscore_traffic::{ConnId, Endpoint};

use crate::dialect::sid::Sid;
use crate::stats::Stats;

/// Something for a session, in the order it came.
#[derive(Debug)]
pub(crate) enum EngineIoRequest {
    /// An HTTP request on such an endpoint, which waits for its answer.
    Http(Endpoint, Box<HttpRequest>),
    /// A request for a WebSocket that is to take over a session.
    Upgrade {
        /// Where the answer is waited for.
        http: ConnId,
        endpoint: Endpoint,
        /// None if it can be no session of ours.
        sid: Option<Sid>,
        revision: Revision,
        /// The answer, if there is such a session.
        accept: Vec<u8>,
    },
    /// A WebSocket has said what it wants of its session.
    Probe(ConnId),
    /// A request with packets has begun.
    Coming { http: ConnId, sid: Sid },
    /// The client of a request that waits for its answer sends no more, and may be gone.
    CloseInfo(ConnId),
    /// The session of a request whose packets are coming in has ended: they are not to be kept.
    Discard(ConnId),
    /// A request's body is too large; it waits for its answer.
    TooBig(Box<HttpRequest>),
    /// A request's body broke off.
    Cut(Sid),
    /// More packets of a request are to be dealt with.
    GoOn(ConnId),
}

/// Header fields of an answer.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The answer to a request that no session takes, which is counted.
pub(crate) fn refusal(error: HandshakeError, headers: Fields, stats: &mut Stats) -> Response {
    stats.count_refusal(error);
    let mut body = Vec::new();
    error.encode(&mut body);
    answer(error.status(), "application/json", headers, body)
}

/// A whole answer.
pub(crate) fn answer(
    status: u16,
    content_type: &str,
    mut headers: Fields,
    body: Vec<u8>,
) -> Response {
    headers.push((b"content-type".into(), content_type.into()));
    headers.push((b"cache-control".into(), b"no-store".into()));
    Response {
        status,
        headers,
        body,
        more: false,
        notify: false,
    }
}
