//! What pages of other origins may do over polling (Fetch standard, "CORS protocol").

use dscore_proto::engineio::HandshakeError;
use dscore_proto::origin::{Addressed, Admitted};
use dscore_traffic::command::Response;
use dscore_traffic::event::HttpRequest;

use crate::engineio_request::Fields;
use crate::settings::Settings;

/// What an answer says about pages of other origins (Fetch standard, CORS protocol).
pub(crate) fn cross_origin(
    request: &HttpRequest,
    settings: &Settings,
) -> Result<Fields, HandshakeError> {
    let named = |wanted: &'static [u8]| {
        let headers = request.headers.iter();
        headers.filter_map(move |(name, value)| (name == wanted).then_some(&value[..]))
    };
    let addressed = Addressed {
        host: named(b"host").next(),
        local: request.ends.local,
        check_host: settings.check_host,
    };
    let field = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());
    let admitted = settings.origins.judge(named(b"origin"), &addressed);
    match admitted.map_err(HandshakeError::Forbidden)? {
        Admitted::Any => Ok(vec![field(b"access-control-allow-origin", b"*")]),
        Admitted::SameOrigin => Ok(Vec::new()),
        // The Fetch standard lets no page send its cookies to a server that says `*`; clients of Engine.IO 3 always do.
        Admitted::Named(origin) => Ok(vec![
            field(b"access-control-allow-origin", origin),
            field(b"access-control-allow-credentials", b"true"),
            field(b"vary", b"Origin"),
        ]),
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
    headers.push((b"allow".into(), b"GET, OPTIONS, POST".into()));
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

    use dscore_proto::origin::{OriginRefusal, OriginRules};
    use dscore_traffic::event::Ends;

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
            more: false,
            upgrade: None,
            ends: Ends::plain(
                SocketAddr::from(([127, 0, 0, 1], 1)),
                SocketAddr::from(([127, 0, 0, 1], 80)),
            ),
            certificate_names: None,
        }
    }

    fn settings(origins: &[&str]) -> Settings {
        let mut settings = Settings::clone(&Bench::new().cx.settings);
        let origins: Vec<String> = origins.iter().map(|origin| (*origin).into()).collect();
        settings.origins = OriginRules::new(&origins, &[]).unwrap_or_default();
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
        let foreign = HandshakeError::Forbidden(OriginRefusal::Foreign);
        let any = vec!["access-control-allow-origin: *".to_owned()];
        let this = vec![
            "access-control-allow-origin: https://a".to_owned(),
            "access-control-allow-credentials: true".to_owned(),
            "vary: Origin".to_owned(),
        ];
        for (origins, origin, expected) in [
            (&["*"][..], Some("https://a"), Ok(any.clone())),
            (&["*"], None, Ok(any)),
            (&["https://b", "https://a"], Some("https://a"), Ok(this)),
            // No page, or one of our own: browsers name no origin then.
            (&["https://a"], None, Ok(vec![])),
            (&["https://a"], Some("https://b"), Err(foreign)),
            (&["https://a"], Some("https://a.b"), Err(foreign)),
            (&[], Some("null"), Err(foreign)),
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
                "allow: GET, OPTIONS, POST",
                "access-control-allow-headers: content-type,x-y",
            ]
        );
        let response = preflight(vec![], &request(&[]), &settings(&[]));
        assert_eq!(response.headers.len(), 2);
    }
}
