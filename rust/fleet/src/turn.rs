//! One event into the table, as far as nothing is to be decided.

use std::net::IpAddr;

use dscore_traffic::Endpoint;
use dscore_traffic::event::Event;

use crate::fleet::Fleet;
use crate::words::Dialect;

/// What has become of an event.
#[derive(Debug)]
pub enum Applied {
    /// It is in the table. What is to be done about it is in the notes, which may wait for others.
    Done,
    /// The same, but the notes are to be taken before anything else happens.
    Noted,
    /// Its owner is to decide, after it has taken the notes.
    Asked(Event),
}

impl Fleet {
    /// Whether [`Self::apply`] may do something with an event, and does not just give it back.
    pub fn applies(event: &Event) -> bool {
        match event {
            Event::Opened(_) | Event::Outcome(_) | Event::Closed(_) => true,
            Event::Introduction(introduction) => introduction.plain.is_some(),
            _ => false,
        }
    }

    /// Applies the next event.
    pub fn apply(&mut self, event: Event, now: i64) -> Applied {
        let stops = match event {
            Event::Outcome(outcome) => self.outcome(outcome, now),
            Event::Closed(closed) => self.closed(closed, now),
            Event::Opened(opened) => {
                let dialect = match opened.endpoint {
                    Endpoint::SocketIo => Dialect::Socketio,
                    _ => Dialect::Raw,
                };
                let bearer = opened.bearer.as_deref();
                match opened.peer.ip() {
                    IpAddr::V4(ip) => self.open_from(opened.conn, ip.into(), bearer, dialect),
                    ip => self.open(opened.conn, &ip.to_string(), bearer, dialect),
                }
                if let Some(shown) = self.connections.shown_mut(opened.conn) {
                    shown.certificate_names = opened.certificate_names;
                }
                false
            }
            Event::Introduction(introduction) => match self.let_in(&introduction, now) {
                Some(stops) => stops,
                None => return Applied::Asked(Event::Introduction(introduction)),
            },
            event => return Applied::Asked(event),
        };
        if stops { Applied::Noted } else { Applied::Done }
    }
}
