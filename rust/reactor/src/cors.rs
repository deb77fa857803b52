//! What pages of other origins may do over polling (Fetch standard, "CORS protocol").

use dscore_proto::engineio::HandshakeError;

use crate::command::Response;
use crate::event::HttpRequest;
use crate::session_request::Fields;
use crate::settings::Settings;

/// What an answer says about pages of other origins (Fetch standard, CORS protocol).
pub(crate) fn cross_origin(
    request: &HttpRequest,
    settings: &Settings,
) -> Result<Fields, HandshakeError> {
    let mut headers = request.headers.iter();
    let origin = headers.find(|(name, _)| name == b"origin");
    let allows = |wanted: &[u8]| {
        let mut origins = settings.origins.iter();
        origins.any(|origin| origin.as_bytes() == wanted)
    };
    let field = |value: &[u8]| (b"access-control-allow-origin".to_vec(), value.to_vec());
    match origin {
        _ if allows(b"*") => Ok(vec![field(b"*")]),
        None => Ok(Vec::new()),
        Some((_, origin)) if allows(origin) => {
            Ok(vec![field(origin), (b"vary".into(), b"Origin".into())])
        }
        Some(_) => Err(HandshakeError::Forbidden),
    }
}

/// The answer to a browser that asks before it sends.
pub(crate) fn preflight(
    mut headers: Fields,
    request: &HttpRequest,
    settings: &Settings,
) -> Response {
    let methods = settings.cors_methods.join(", ");
    headers.push((b"access-control-allow-methods".into(), methods.into()));
    let mut asked = request.headers.iter();
    if let Some((_, wanted)) = asked.find(|(name, _)| name == b"access-control-request-headers") {
        headers.push((b"access-control-allow-headers".into(), wanted.clone()));
    }
    Response {
        status: 204,
        headers,
        body: Vec::new(),
        more: false,
        notify: false,
    }
}
