//! The answer to one request: its head, its framing, and whether another request may follow.

use dscore_proto::UsageError;
use dscore_proto::http::{self, Framing, Standing};
use dscore_traffic::command::Response;

/// What an answer must know of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// Another request may follow, if the answer allows it.
    pub(crate) keep_alive: bool,
    /// The request was HEAD.
    pub(crate) head_only: bool,
    /// The minor version: 0 or 1.
    pub(crate) version: u8,
}

/// An answer whose head was written.
#[derive(Debug)]
pub(crate) struct Answer {
    /// A length counts down what the app promised: what is missing or too much must not reach the next answer.
    framing: Framing,
    /// Whatever the app gives, nothing follows the head.
    bodiless: bool,
    keep_alive: bool,
}

impl Answer {
    /// Writes the head.
    ///
    /// # Errors
    /// A status or header that may not go into one; nothing was written.
    pub(crate) fn begin(
        exchange: Exchange,
        response: &Response,
        standing: Standing<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Self, UsageError> {
        // RFC 9110 §6.4.1: none of these has content.
        let bodiless = exchange.head_only || matches!(response.status, 204 | 304);
        let framing = framing(response, bodiless, exchange.version);
        let keep_alive = exchange.keep_alive && (bodiless || framing != Framing::None);
        let headers: Vec<(&[u8], &[u8])> = response
            .headers
            .iter()
            .map(|(name, value)| (&name[..], &value[..]))
            .collect();
        let status = response.status;
        http::encode_response_head(status, &headers, framing, keep_alive, standing, out)?;
        Ok(Self {
            framing,
            bodiless,
            keep_alive,
        })
    }

    /// Writes a part of the body.
    pub(crate) fn push(&mut self, body: &[u8], out: &mut Vec<u8>) {
        match &mut self.framing {
            _ if self.bodiless => {}
            Framing::Length(left) => {
                let fits = body.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                out.extend_from_slice(&body[..fits]);
                *left -= fits as u64;
                self.keep_alive &= fits == body.len();
            }
            Framing::Chunked => http::encode_chunk(body, out),
            Framing::None => out.extend_from_slice(body),
        }
    }

    /// Ends the body. True if another request may follow.
    pub(crate) fn finish(&self, out: &mut Vec<u8>) -> bool {
        match self.framing {
            _ if self.bodiless => self.keep_alive,
            Framing::Length(left) => self.keep_alive && left == 0,
            Framing::Chunked => {
                http::encode_last_chunk(out);
                self.keep_alive
            }
            Framing::None => false,
        }
    }
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
