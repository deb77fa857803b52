//! The server's side of HTTP/1.1 (RFC 9110, RFC 9112): the request head, the request body, the
//! response's framing.
//!
//! Nothing here reads a socket or keeps a connection. Where the RFCs let a server guess what a
//! sloppy peer meant, this one refuses: two readers that guess differently are what request
//! smuggling lives on.

mod body;
mod head;
mod response;
mod token;

use thiserror::Error;

pub use body::{BodyKind, BodyReader, MAX_CHUNK_EXTENSIONS, MAX_TRAILERS};
pub(crate) use head::find_end;
pub use head::{Head, MAX_HEADERS, parse_head, path};
pub(crate) use response::is_field;
pub use response::{
    CONTINUE, Framing, Particulars, Standing, WEBSOCKET_METHODS, encode_chunk, encode_last_chunk,
    encode_response_head, error_response,
};
pub(crate) use token::is_token;
pub use token::is_token_text;

/// Why a request was refused: the peer's fault. The connection is closed after the answer, since
/// the end of a bad request cannot be known.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HttpError {
    /// Not the grammar of RFC 9112, or a form of it that was retired because readers disagree about
    /// it.
    #[error("the request is not well-formed HTTP/1.1")]
    Malformed,
    /// A target with bytes no URI has, a fragment, or a form that does not go with the method.
    #[error("the request target is not valid")]
    Target,
    /// No Host, several, one that is no authority, or one that contradicts an absolute target.
    #[error("the request needs exactly one valid Host field")]
    Host,
    /// Several Authorization fields.
    #[error("the request may have one Authorization field only")]
    Authorization,
    /// A major version other than 1.
    #[error("only HTTP/1.1 and HTTP/1.0 are spoken here")]
    Version,
    /// CONNECT: this is no proxy.
    #[error("CONNECT is not implemented")]
    Connect,
    /// No end of the head within the limit.
    #[error("the request head is too large")]
    HeadTooLarge,
    /// More fields than there are slots.
    #[error("the request has too many header fields")]
    TooManyHeaders,
    /// Content-Length is repeated, or is not a plain decimal number.
    #[error("the Content-Length is not one decimal number")]
    ContentLength,
    /// Both framings at once, Transfer-Encoding in HTTP/1.0, or one that does not end in a single
    /// chunked.
    #[error(
        "Transfer-Encoding must end in chunked, once, and goes neither with Content-Length nor with HTTP/1.0"
    )]
    Framing,
    /// Transfer codings beside chunked.
    #[error("the only transfer coding understood is chunked")]
    TransferEncoding,
    /// An expectation other than 100-continue.
    #[error("the only expectation understood is 100-continue")]
    Expectation,
    /// A chunk size, an extension or the end of a chunk that breaks RFC 9112 §7.1.
    #[error("the chunked body is not well-formed")]
    Chunk,
    /// Chunk extensions past [`MAX_CHUNK_EXTENSIONS`].
    #[error("the chunk extensions are too long")]
    ChunkExtensions,
    /// Trailer fields past [`MAX_TRAILERS`].
    #[error("the trailer fields are too large")]
    TrailersTooLarge,
    /// More body than the limit, announced or sent.
    #[error("the request body is too large")]
    BodyTooLarge,
}

impl HttpError {
    /// The status to answer with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed
            | Self::Target
            | Self::Host
            | Self::Authorization
            | Self::ContentLength
            | Self::Framing
            | Self::Chunk
            | Self::ChunkExtensions => 400,
            Self::BodyTooLarge => 413,
            Self::Expectation => 417,
            Self::HeadTooLarge | Self::TooManyHeaders | Self::TrailersTooLarge => 431,
            Self::Connect | Self::TransferEncoding => 501,
            Self::Version => 505,
        }
    }
}
