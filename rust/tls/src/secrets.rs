//! Traffic secrets, and what is derived from them (RFC 8446 §7.1 to §7.3): for each direction of a connection a key, an IV
//! and the number of the next record.
//!
//! Keys are kept as they are. What ring makes of one has half a kilobyte of tables; it is made for each turn, and thrown away.

use ring::aead::{self, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{self, KeyType, Prk};
use zeroize::Zeroize;

/// Of the longest secret: SHA-384's.
const MAX_SECRET: usize = 48;
/// Of the longest key.
const MAX_KEY: usize = 32;

/// A cipher suite of TLS 1.3 (RFC 8446 §B.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// `TLS_AES_128_GCM_SHA256`
    Aes128Gcm,
    /// `TLS_AES_256_GCM_SHA384`
    Aes256Gcm,
    /// `TLS_CHACHA20_POLY1305_SHA256`
    ChaCha20Poly1305,
}

impl Suite {
    fn aead(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes128Gcm => &aead::AES_128_GCM,
            Self::Aes256Gcm => &aead::AES_256_GCM,
            Self::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }

    fn hash(self) -> hkdf::Algorithm {
        match self {
            Self::Aes128Gcm | Self::ChaCha20Poly1305 => hkdf::HKDF_SHA256,
            Self::Aes256Gcm => hkdf::HKDF_SHA384,
        }
    }

    /// Of its secrets.
    fn secret_length(self) -> usize {
        self.hash().len()
    }
}

/// What the keys of one direction are made from, for as long as it lasts. Read only where a key changes.
pub(crate) struct TrafficSecret([u8; MAX_SECRET]);

impl TrafficSecret {
    /// None if it is no secret of this suite.
    pub(crate) fn new(suite: Suite, secret: &[u8]) -> Option<Self> {
        let mut kept = Self([0; MAX_SECRET]);
        let own = kept.0.get_mut(..suite.secret_length())?;
        if own.len() != secret.len() {
            return None;
        }
        own.copy_from_slice(secret);
        Some(kept)
    }

    /// Key and IV (RFC 8446 §7.3), under which `sequence` records were sent already. None never happens: the lengths are of
    /// hashes.
    pub(crate) fn key(&self, suite: Suite, sequence: u64) -> Option<Key> {
        let mut key = Key {
            sequence: sequence.to_be_bytes(),
            iv: [0; NONCE_LEN],
            bytes: [0; MAX_KEY],
        };
        let (prk, length) = (self.prk(suite)?, suite.aead().key_len());
        expand_label(&prk, b"key", key.bytes.get_mut(..length)?)?;
        expand_label(&prk, b"iv", &mut key.iv)?;
        Some(key)
    }

    /// The next traffic secret takes the place of this one (RFC 8446 §7.2): its key. None never happens.
    pub(crate) fn update(&mut self, suite: Suite) -> Option<Key> {
        let mut next = [0; MAX_SECRET];
        let own = next.get_mut(..suite.secret_length())?;
        expand_label(&self.prk(suite)?, b"traffic upd", own)?;
        self.0 = next;
        next.zeroize();
        self.key(suite, 0)
    }

    fn prk(&self, suite: Suite) -> Option<Prk> {
        let secret = self.0.get(..suite.secret_length())?;
        Some(Prk::new_less_safe(suite.hash(), secret))
    }
}

impl Drop for TrafficSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// One direction of a connection. Not `Clone`: of two that go on from one number, both would use its nonce. Bytes alone, so
/// that two of them leave no gap: an idle connection is little else.
#[repr(C)]
pub(crate) struct Key {
    /// Of the next record, big-endian as it goes into the nonce.
    sequence: [u8; 8],
    iv: [u8; NONCE_LEN],
    bytes: [u8; MAX_KEY],
}

impl Key {
    /// What opens and seals, for this turn.
    pub(crate) fn cipher(&self, suite: Suite) -> Option<LessSafeKey> {
        let aead = suite.aead();
        let key = UnboundKey::new(aead, self.bytes.get(..aead.key_len())?);
        key.ok().map(LessSafeKey::new)
    }

    /// Of the next record (RFC 8446 §5.3). It is used up, whatever comes of that record; none once all are.
    pub(crate) fn next_nonce(&mut self) -> Option<Nonce> {
        let mut nonce = self.iv;
        for (byte, number) in nonce.iter_mut().skip(4).zip(self.sequence) {
            *byte ^= number;
        }
        self.sequence = self.sequence().checked_add(1)?.to_be_bytes();
        Some(Nonce::assume_unique_for_key(nonce))
    }

    /// Records under this key so far.
    pub(crate) fn sequence(&self) -> u64 {
        u64::from_be_bytes(self.sequence)
    }

    /// Whether these are its key and IV.
    pub(crate) fn is(&self, key: &[u8], iv: &[u8]) -> bool {
        self.bytes.get(..key.len()) == Some(key) && self.iv == iv
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.bytes.zeroize();
        self.iv.zeroize();
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label (RFC 8446 §7.1), without a context.
fn expand_label(prk: &Prk, label: &[u8], out: &mut [u8]) -> Option<()> {
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    let label_length = u8::try_from(PREFIX.len() + label.len()).ok()?;
    let info = [&length[..], &[label_length], PREFIX, label, &[0]];
    prk.expand(&info, Length(out.len())).ok()?.fill(out).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex
            .chars()
            .filter_map(|digit| digit.to_digit(16).map(|digit| digit as u8))
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    /// RFC 8448 §3, "simple 1-RTT handshake".
    #[test]
    fn keys_are_those_of_rfc_8448() {
        let server = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
        let client = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
        for (secret, key, iv) in [
            (
                server,
                "9f02283b6c9c07efc26bb9f2ac92e356",
                "cf782b88dd83549aadf1e984",
            ),
            (
                client,
                "17422dda596ed5d9acd890e3c63f5051",
                "5b78923dee08579033e523d9",
            ),
        ] {
            let secret = TrafficSecret::new(Suite::Aes128Gcm, &bytes(secret)).unwrap();
            let made = secret.key(Suite::Aes128Gcm, 0).unwrap();
            assert!(made.is(&bytes(key), &bytes(iv)));
        }
    }

    #[test]
    fn a_secret_of_another_length_makes_no_keys() {
        for (suite, length) in [
            (Suite::Aes128Gcm, 32),
            (Suite::Aes256Gcm, 48),
            (Suite::ChaCha20Poly1305, 32),
        ] {
            for wrong in [0, length - 1, length + 1, 64] {
                assert!(TrafficSecret::new(suite, &vec![1; wrong]).is_none());
            }
            assert!(TrafficSecret::new(suite, &vec![1; length]).is_some());
        }
    }

    #[test]
    fn a_nonce_is_the_iv_with_the_number_of_the_record_and_comes_once() {
        let secret = TrafficSecret::new(Suite::Aes128Gcm, &[7; 32]).unwrap();
        let mut key = secret.key(Suite::Aes128Gcm, 0x0102).unwrap();
        let (before, mut expected) = (key.sequence(), key.iv);
        let nonce = key.next_nonce().unwrap();
        expected[10] ^= 1;
        expected[11] ^= 2;
        assert_eq!(nonce.as_ref(), &expected);
        assert_eq!(key.sequence(), before + 1);
        key.sequence = [255; 8];
        assert!(key.next_nonce().is_none());
        assert!(key.next_nonce().is_none());
    }

    #[test]
    fn an_update_changes_everything_and_counts_anew() {
        let suite = Suite::Aes256Gcm;
        let mut secret = TrafficSecret::new(suite, &[7; 48]).unwrap();
        let (old, old_secret) = (secret.key(suite, 9).unwrap(), secret.0);
        let new = secret.update(suite).unwrap();
        assert_eq!((old.sequence(), new.sequence()), (9, 0));
        assert!(secret.0 != old_secret && new.bytes != old.bytes && new.iv != old.iv);
    }
}
