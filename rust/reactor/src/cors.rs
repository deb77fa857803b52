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
    let headers = request.headers.iter();
    let mut origins = headers.filter(|(name, _)| name == b"origin");
    let allows = |wanted: &[u8]| {
        let mut origins = settings.origins.iter();
        origins.any(|origin| origin.as_bytes() == wanted)
    };
    let field = |value: &[u8]| (b"access-control-allow-origin".to_vec(), value.to_vec());
    match (origins.next(), origins.next()) {
        _ if allows(b"*") => Ok(vec![field(b"*")]),
        (None, _) => Ok(Vec::new()),
        (Some((_, origin)), None) if allows(origin) => {
            Ok(vec![field(origin), (b"vary".into(), b"Origin".into())])
        }
        // Of two nobody knows which one somebody in between has looked at.
        _ => Err(HandshakeError::Forbidden),
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::testing::{Bench, CONN};

    fn request(headers: &[(&str, &str)]) -> HttpRequest {
        let fields = headers
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        HttpRequest {
            conn: CONN,
            method: "GET".into(),
            target: "/".into(),
            version: 1,
            headers: fields.collect(),
            body: vec![],
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
        }
    }

    fn settings(origins: &[&str]) -> Settings {
        let mut settings = Settings::clone(&Bench::new().cx.settings);
        settings.origins = origins.iter().map(|origin| (*origin).into()).collect();
        settings
    }

    fn in_words(fields: Fields) -> Vec<String> {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let fields = fields.iter();
        fields
            .map(|(name, value)| format!("{}: {}", text(name), text(value)))
            .collect()
    }

    #[test]
    fn pages_are_let_in_by_their_origin() {
        let any = vec!["access-control-allow-origin: *".to_owned()];
        let this = vec![
            "access-control-allow-origin: https://a".to_owned(),
            "vary: Origin".to_owned(),
        ];
        for (origins, origin, expected) in [
            (&["*"][..], Some("https://a"), Ok(any.clone())),
            (&["*"], None, Ok(any)),
            (&["https://b", "https://a"], Some("https://a"), Ok(this)),
            // No page, or one of our own: browsers name no origin then.
            (&["https://a"], None, Ok(vec![])),
            (
                &["https://a"],
                Some("https://b"),
                Err(HandshakeError::Forbidden),
            ),
            (
                &["https://a"],
                Some("https://a.b"),
                Err(HandshakeError::Forbidden),
            ),
            (&[], Some("null"), Err(HandshakeError::Forbidden)),
        ] {
            let fields: Vec<_> = origin.iter().map(|origin| ("origin", *origin)).collect();
            let judged = cross_origin(&request(&fields), &settings(origins));
            assert_eq!(judged.map(in_words), expected, "{origins:?}, {origin:?}");
        }
    }

    #[test]
    fn a_browser_that_asks_is_told_methods_and_the_fields_it_asked_for() {
        let asked = request(&[("access-control-request-headers", "content-type,x-y")]);
        let response = preflight(vec![], &asked, &settings(&[]));
        assert_eq!((response.status, &*response.body), (204, &b""[..]));
        assert_eq!(
            in_words(response.headers),
            [
                "access-control-allow-methods: GET, POST",
                "access-control-allow-headers: content-type,x-y",
            ]
        );
        let response = preflight(vec![], &request(&[]), &settings(&[]));
        assert_eq!(response.headers.len(), 1);
    }
}
