//! What each address has, where that is limited: conversations, and introductions within a minute.
//!
//! Without a limit, the default, nothing is kept. With one, a conversation counts for the address of its client from its
//! opening to its end, whichever reactor has it; those that were there before the limit was set do not. An address of IPv6 is
//! its /64, which one site has. Loopback and trusted proxies are not counted: who is behind them was not told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dscore_traffic::ConnId;
use dscore_traffic::event::{AddressLimit, AddressRefused};

use crate::settings::Settings;

const WINDOW_MS: u64 = 60_000;

/// Addresses with an introduction in one window. Each has cost a connection; past them all begin anew.
const MAX_INTRODUCING: usize = 1 << 17;

/// Refusals that are told of, by each reactor in a second; the others are only counted.
const TOLD_A_SECOND: u32 = 20;

/// An address, or of IPv6 its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Site(u128);

impl Site {
    /// `None`: it is not counted.
    pub(crate) fn of(address: IpAddr, settings: &Settings) -> Option<Self> {
        let address = address.to_canonical();
        if address.is_loopback() || settings.trusted_proxies.trust(address) {
            return None;
        }
        Some(Self(match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits() >> 64 << 64,
        }))
    }
}

/// What the reactors of one pool count together.
#[derive(Debug, Default)]
pub(crate) struct AddressCounts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    conversations: HashMap<Site, u64>,
    introductions: HashMap<Site, u64>,
    /// The number of the minute that those are of.
    window: u64,
}

impl AddressCounts {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One reactor's part of it.
#[derive(Debug)]
pub(crate) struct Addresses {
    counts: Arc<AddressCounts>,
    counted: HashMap<ConnId, Counted>,
    /// The second in which refusals were last told of, and how many.
    told: (u64, u32),
}

/// A conversation that is counted.
#[derive(Clone, Copy, Debug)]
struct Counted {
    site: Site,
    address: IpAddr,
}

impl Addresses {
    pub(crate) fn new(counts: Arc<AddressCounts>) -> Self {
        Self {
            counts,
            counted: HashMap::new(),
            told: (0, 0),
        }
    }

    /// Whether one more conversation of this address may begin; it is counted then, and [`Self::hold`] comes next.
    pub(crate) fn take(&self, address: IpAddr, settings: &Settings) -> bool {
        let Some(site) = limited(address, settings) else {
            return true;
        };
        let mut counts = self.counts.lock();
        let conversations = counts.conversations.entry(site).or_default();
        let most = settings.connections_per_address;
        let may = most == 0 || *conversations < most;
        if may {
            *conversations += 1;
        }
        may
    }

    /// This conversation is the one that was counted.
    pub(crate) fn hold(&mut self, conn: ConnId, address: IpAddr, settings: &Settings) {
        if let Some(site) = limited(address, settings) {
            self.counted.insert(conn, Counted { site, address });
        }
    }

    /// A conversation has ended.
    pub(crate) fn release(&mut self, conn: ConnId) {
        if self.counted.is_empty() {
            return;
        }
        let Some(Counted { site, .. }) = self.counted.remove(&conn) else {
            return;
        };
        let mut counts = self.counts.lock();
        if let Some(conversations) = counts.conversations.get_mut(&site) {
            *conversations -= 1;
            if *conversations == 0 {
                counts.conversations.remove(&site);
            }
        }
    }

    /// Whether a conversation may introduce itself; where not, the address that has done so too often.
    pub(crate) fn introduce(
        &self,
        conn: ConnId,
        pool_ms: u64,
        settings: &Settings,
    ) -> Result<(), IpAddr> {
        let most = settings.introductions_per_address;
        let counted = self.counted.get(&conn).filter(|_| most > 0);
        let Some(Counted { site, address }) = counted else {
            return Ok(());
        };
        let mut counts = self.counts.lock();
        let window = pool_ms / WINDOW_MS;
        if counts.window != window || counts.introductions.len() >= MAX_INTRODUCING {
            counts.window = window;
            counts.introductions.clear();
        }
        let introductions = counts.introductions.entry(*site).or_default();
        if *introductions >= most {
            return Err(*address);
        }
        *introductions += 1;
        Ok(())
    }

    /// What the owner is told of a refusal, unless it has heard of enough in this second.
    pub(crate) fn refused(
        &mut self,
        limit: AddressLimit,
        address: IpAddr,
        pool_ms: u64,
    ) -> Option<AddressRefused> {
        let second = pool_ms / 1_000;
        if self.told.0 != second {
            self.told = (second, 0);
        }
        self.told.1 += 1;
        (self.told.1 <= TOLD_A_SECOND).then_some(AddressRefused { limit, address })
    }
}

/// Where an address is counted, if there is a limit for it.
fn limited(address: IpAddr, settings: &Settings) -> Option<Site> {
    let is_limited = settings.connections_per_address > 0 || settings.introductions_per_address > 0;
    is_limited.then(|| Site::of(address, settings)).flatten()
}

#[cfg(test)]
mod tests {
    use dscore_proto::forwarded::TrustedProxies;

    use super::*;
    use crate::testing::Bench;

    fn settings(connections: u64, introductions: u64) -> Settings {
        let mut settings = Settings::clone(&Bench::new().cx.settings);
        settings.connections_per_address = connections;
        settings.introductions_per_address = introductions;
        settings.trusted_proxies = TrustedProxies::new(&["10.0.0.0/8".into()]).unwrap_or_default();
        settings
    }

    fn open(addresses: &mut Addresses, conn: u64, address: &str, settings: &Settings) -> bool {
        let address: IpAddr = address.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let may = addresses.take(address, settings);
        if may {
            addresses.hold(ConnId::from_u64(conn), address, settings);
        }
        may
    }

    #[test]
    fn an_address_has_so_many_conversations_in_all_reactors_together() {
        let settings = settings(2, 0);
        let counts = Arc::<AddressCounts>::default();
        let mut one = Addresses::new(counts.clone());
        let mut other = Addresses::new(counts.clone());
        assert!(open(&mut one, 1, "203.0.113.9", &settings));
        assert!(open(&mut other, 2, "::ffff:203.0.113.9", &settings));
        assert!(!open(&mut one, 3, "203.0.113.9", &settings));
        assert!(open(&mut one, 4, "203.0.113.8", &settings));
        other.release(ConnId::from_u64(2));
        other.release(ConnId::from_u64(2));
        assert!(open(&mut one, 5, "203.0.113.9", &settings));
        for conn in [1, 4, 5] {
            one.release(ConnId::from_u64(conn));
        }
        assert!(counts.lock().conversations.is_empty() && one.counted.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let settings = settings(1, 0);
        let mut addresses = Addresses::new(Arc::default());
        assert!(open(&mut addresses, 1, "2001:db8:0:1::1", &settings));
        assert!(!open(&mut addresses, 2, "2001:db8:0:1:ffff::2", &settings));
        assert!(open(&mut addresses, 3, "2001:db8:0:2::1", &settings));
    }

    #[test]
    fn loopback_and_trusted_proxies_are_not_counted() {
        let settings = settings(1, 1);
        let mut addresses = Addresses::new(Arc::default());
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "10.1.1.1",
            "::ffff:10.1.1.1",
        ] {
            for conn in 1..4 {
                assert!(open(&mut addresses, conn, address, &settings), "{address}");
                assert!(
                    addresses
                        .introduce(ConnId::from_u64(conn), 0, &settings)
                        .is_ok()
                );
            }
        }
    }

    #[test]
    fn an_address_introduces_itself_so_often_in_a_minute() {
        let settings = settings(0, 2);
        let mut addresses = Addresses::new(Arc::default());
        for conn in 1..5 {
            assert!(open(&mut addresses, conn, "203.0.113.9", &settings));
        }
        assert!(open(&mut addresses, 9, "203.0.113.8", &settings));
        let introduce = |conn, ms| addresses.introduce(ConnId::from_u64(conn), ms, &settings);
        assert!(introduce(1, 0).is_ok() && introduce(2, 59_999).is_ok());
        assert_eq!(introduce(3, 59_999), Err(IpAddr::from([203, 0, 113, 9])));
        assert!(introduce(9, 59_999).is_ok());
        assert!(introduce(3, 60_000).is_ok() && introduce(4, 60_000).is_ok());
        assert!(introduce(1, 60_000).is_err());
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let settings = settings(0, 0);
        let mut addresses = Addresses::new(Arc::default());
        for conn in 1..100 {
            assert!(open(&mut addresses, conn, "203.0.113.9", &settings));
            assert!(
                addresses
                    .introduce(ConnId::from_u64(conn), 0, &settings)
                    .is_ok()
            );
        }
        assert!(addresses.counted.is_empty());
    }

    #[test]
    fn so_many_refusals_are_told_of_in_a_second() {
        let mut addresses = Addresses::new(Arc::default());
        let address = IpAddr::from([203, 0, 113, 9]);
        let mut told = |ms| {
            addresses
                .refused(AddressLimit::Connections, address, ms)
                .is_some()
        };
        assert_eq!(
            (0..100).filter(|_| told(999)).count(),
            TOLD_A_SECOND as usize
        );
        assert!(told(1_000));
    }
}
