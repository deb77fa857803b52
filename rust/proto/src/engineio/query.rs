//! What a request's target says (Engine.IO protocol, section "Query parameters").

use super::Revision;

/// The parameters of the query that matter. Of a repeated name the first counts.
///
/// The values stand as they were sent: none that is valid here needs percent-encoding, as long as
/// session ids are made of letters, digits, `-`, `.`, `_` and `~` (RFC 3986 §2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query<'a> {
    /// `EIO`; [`Query::revision`] knows what it means.
    pub revision: Option<&'a str>,
    /// `transport`: `polling` or `websocket`.
    pub transport: Option<&'a str>,
    /// `sid`, unless it is empty: a request without one begins a session.
    pub sid: Option<&'a str>,
    /// `b64`: the client cannot take binary data over polling.
    pub wants_base64: bool,
    /// `j`: the client wants its answers as JavaScript.
    pub has_jsonp: bool,
}

impl<'a> Query<'a> {
    /// Reads the query of a request target.
    ///
    /// # Example
    /// ```
    /// use dscore_proto::engineio::{Query, Revision};
    ///
    /// let query = Query::of("/socket.io/?EIO=4&transport=polling&t=PxZ1");
    /// assert_eq!(query.revision(), Some(Revision::V4));
    /// assert_eq!((query.transport, query.sid), (Some("polling"), None));
    /// ```
    #[must_use]
    pub fn of(target: &'a str) -> Self {
        let mut query = Self::default();
        let (_, pairs) = target.split_once('?').unwrap_or_default();
        for pair in pairs.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match name {
                "EIO" => &mut query.revision,
                "transport" => &mut query.transport,
                "sid" => &mut query.sid,
                "b64" => {
                    query.wants_base64 = true;
                    continue;
                }
                "j" => {
                    query.has_jsonp = true;
                    continue;
                }
                _ => continue,
            };
            place.get_or_insert(value);
        }
        query.sid = query.sid.filter(|sid| !sid.is_empty());
        query
    }

    /// The revision asked for, if it is one of those that are spoken here.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        match self.revision {
            Some("3") => Some(Revision::V3),
            Some("4") => Some(Revision::V4),
            _ => None,
        }
    }
}
