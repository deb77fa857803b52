//! Tickets: what a client brings back to be known again, sealed by us so that nothing has to be kept (RFC 8446 §4.6.1).
//!
//! A ticket is `salt ‖ sealed(time ‖ state)`. Each has a key of its own, derived from one of ours and its salt, so that no
//! nonce is ever used twice however many are made. The first key seals, all open: a file that is shared by the servers of a
//! fleet, or kept over a restart, keeps resumption. What was made for other client authorities does not open.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

use crate::clock::unix_s;
use crate::error::{TlsError, read};

const KEY: usize = 32;
const SALT: usize = 32;
const TIME: usize = 8;
/// Keys in one file: each is tried for every ticket.
const MAX_KEYS: usize = 16;
/// A ticket holds the certificates of its client.
const MAX_TICKET: usize = 32 * 1024;

/// Makes and opens tickets.
pub(crate) struct Tickets {
    /// The first seals.
    keys: Vec<Prk>,
    lifetime_s: u32,
    /// What they are only good for.
    context: Vec<u8>,
    random: SystemRandom,
}

impl Tickets {
    /// With keys of 32 bytes.
    pub(crate) fn new(keys: &[[u8; KEY]], lifetime_s: u32, context: Vec<u8>) -> Self {
        let label = Salt::new(HKDF_SHA256, b"dscore tickets 1");
        Self {
            keys: keys.iter().map(|key| label.extract(key)).collect(),
            lifetime_s,
            context,
            random: SystemRandom::new(),
        }
    }

    fn seal(&self, now_s: u64, plain: &[u8]) -> Option<Vec<u8>> {
        let mut salt = [0; SALT];
        self.random.fill(&mut salt).ok()?;
        let key = self.key(self.keys.first()?, &salt)?;
        let mut sealed = now_s.to_be_bytes().to_vec();
        sealed.extend_from_slice(plain);
        key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed)
            .ok()?;
        Some([&salt[..], &sealed].concat())
    }

    fn open(&self, now_s: u64, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > MAX_TICKET {
            return None;
        }
        let (salt, sealed) = ticket.split_first_chunk::<SALT>()?;
        let opened = self.keys.iter().find_map(|key| {
            let mut bytes = sealed.to_vec();
            let key = self.key(key, salt)?;
            let length = key
                .open_in_place(nonce(), Aad::empty(), &mut bytes)
                .ok()?
                .len();
            bytes.truncate(length);
            Some(bytes)
        })?;
        let (time, plain) = opened.split_first_chunk::<TIME>()?;
        let age_s = now_s.saturating_sub(u64::from_be_bytes(*time));
        (age_s <= self.lifetime_s.into()).then(|| plain.to_vec())
    }

    /// The key of one ticket.
    fn key(&self, secret: &Prk, salt: &[u8; SALT]) -> Option<LessSafeKey> {
        let info = [&salt[..], &self.context];
        let key: UnboundKey = secret.expand(&info, &CHACHA20_POLY1305).ok()?.into();
        Some(LessSafeKey::new(key))
    }
}

/// A key is used for one ticket, so its nonce is no secret and always the same.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.lifetime_s
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(unix_s(), plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(unix_s(), cipher)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets")
            .field("keys", &self.keys.len())
            .field("lifetime_s", &self.lifetime_s)
            .finish_non_exhaustive()
    }
}

/// The keys of a file, one a line, each the base64 of 32 bytes; blank lines and those that begin with # are skipped.
pub(crate) fn read_keys(path: &Path) -> Result<Vec<[u8; KEY]>, TlsError> {
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys = lines.map(|(number, line)| {
        let key = STANDARD.decode(line).ok();
        key.and_then(|key| key.try_into().ok()).ok_or_else(|| {
            let what = format!(
                "line {} is no ticket key: 32 bytes as base64, as `openssl rand -base64 32` writes them",
                number + 1
            );
            TlsError::unfit(path, what)
        })
    });
    let keys: Vec<[u8; KEY]> = keys.collect::<Result<_, _>>()?;
    match keys.len() {
        0 => Err(TlsError::unfit(
            path,
            "holds no ticket key: write one with `openssl rand -base64 32`",
        )),
        1..=MAX_KEYS => Ok(keys),
        _ => Err(TlsError::unfit(
            path,
            format!("holds more than {MAX_KEYS} ticket keys: drop the old ones"),
        )),
    }
}

/// A key for this process alone.
pub(crate) fn random_key() -> Result<[u8; KEY], TlsError> {
    let mut key = [0; KEY];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| TlsError::Unusable("the system gives no random bytes".into()))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    fn tickets(keys: &[[u8; KEY]], context: &[u8]) -> Tickets {
        Tickets::new(keys, 3_600, context.to_vec())
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (old, new) = ([1; KEY], [2; KEY]);
        let before = tickets(&[old], b"").seal(100, b"state").unwrap();
        let rotated = tickets(&[new, old], b"");
        assert_eq!(rotated.open(200, &before).unwrap(), b"state");
        let after = rotated.seal(200, b"state").unwrap();
        assert_eq!(tickets(&[new], b"").open(200, &after).unwrap(), b"state");
        assert_eq!(tickets(&[old], b"").open(200, &after), None);
    }

    #[test]
    fn a_ticket_is_good_for_its_lifetime_and_its_authorities_only() {
        let made = tickets(&[[1; KEY]], b"ca").seal(1_000, b"state").unwrap();
        let same = tickets(&[[1; KEY]], b"ca");
        assert!(same.open(4_600, &made).is_some());
        assert!(same.open(4_601, &made).is_none());
        // A clock that was set back makes none older.
        assert!(same.open(0, &made).is_some());
        assert!(tickets(&[[1; KEY]], b"other").open(1_000, &made).is_none());
    }

    #[test]
    fn what_was_touched_or_cut_does_not_open() {
        let tickets = tickets(&[[1; KEY]], b"");
        let made = tickets.seal(1_000, b"state").unwrap();
        for at in 0..made.len() {
            let mut touched = made.clone();
            touched[at] ^= 1;
            assert!(tickets.open(1_000, &touched).is_none(), "{at}");
            assert!(tickets.open(1_000, &made[..at]).is_none(), "{at}");
        }
        assert!(tickets.open(1_000, &vec![0; MAX_TICKET + 1]).is_none());
    }

    #[test]
    fn two_tickets_of_one_state_have_nothing_in_common() {
        let tickets = tickets(&[[1; KEY]], b"");
        let (one, other) = (
            tickets.seal(1, b"x").unwrap(),
            tickets.seal(1, b"x").unwrap(),
        );
        assert_ne!(one[..SALT], other[..SALT]);
        assert_ne!(one[SALT..], other[SALT..]);
    }
}
