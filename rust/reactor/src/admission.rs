//! What must come first on a socket that was just accepted, by where it was accepted and from whom.

use std::net::IpAddr;

use dscore_proto::forwarded::TrustedProxies;

use crate::acceptor::Entrance;
use crate::door::{Expects, Speech};

/// What a pool asks of its connections; it cannot change while that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Admission {
    /// Trusted proxies write a header of the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    /// Without TLS only loopback and trusted proxies are taken.
    pub(crate) asks_for_tls: bool,
}

/// Where a socket goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Straight to a reactor: HTTP comes first.
    Straight,
    /// To the porter.
    Porter(Expects),
    /// It is told to speak TLS.
    Refused,
}

impl Admission {
    /// Where a socket from `peer` goes.
    pub(crate) fn way(self, entrance: Entrance, peer: IpAddr, trusted: &TrustedProxies) -> Way {
        let is_trusted = trusted.trust(peer);
        let header = self.proxy_protocol && is_trusted;
        let may_be_plain = !self.asks_for_tls || is_trusted || peer.to_canonical().is_loopback();
        let speech = match entrance {
            Entrance::Plain if !may_be_plain => return Way::Refused,
            Entrance::Plain if !header => return Way::Straight,
            Entrance::Plain => Speech::Plain,
            Entrance::Tls => Speech::Tls,
            Entrance::Either => Speech::Either { may_be_plain },
        };
        Way::Porter(Expects { header, speech })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn every_entrance_asks_of_every_peer_what_it_must() {
        let trusted = TrustedProxies::new(&["10.0.0.0/8".to_owned()]).unwrap();
        let way = |admission: Admission, entrance, peer: &str| {
            admission.way(entrance, peer.parse().unwrap(), &trusted)
        };
        let porter = |header, speech| Way::Porter(Expects { header, speech });
        let open = Admission::default();
        let strict = Admission {
            proxy_protocol: true,
            asks_for_tls: true,
        };
        let (proxy, near, far) = ("10.0.0.1", "127.0.0.1", "203.0.113.9");
        let either = |may_be_plain| Speech::Either { may_be_plain };
        for (admission, entrance, peer, expected) in [
            (open, Entrance::Plain, far, Way::Straight),
            (open, Entrance::Plain, proxy, Way::Straight),
            (open, Entrance::Tls, far, porter(false, Speech::Tls)),
            (open, Entrance::Either, far, porter(false, either(true))),
            (strict, Entrance::Plain, far, Way::Refused),
            (strict, Entrance::Plain, near, Way::Straight),
            (strict, Entrance::Plain, "::1", Way::Straight),
            (strict, Entrance::Plain, proxy, porter(true, Speech::Plain)),
            (strict, Entrance::Tls, far, porter(false, Speech::Tls)),
            (strict, Entrance::Tls, proxy, porter(true, Speech::Tls)),
            (strict, Entrance::Either, far, porter(false, either(false))),
            (strict, Entrance::Either, near, porter(false, either(true))),
            (strict, Entrance::Either, proxy, porter(true, either(true))),
        ] {
            let found = way(admission, entrance, peer);
            assert_eq!(found, expected, "{admission:?} {entrance:?} {peer}");
        }
    }
}
