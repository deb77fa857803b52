//! A client whose handshake rustls did, and that seals and opens by itself from then on.

use std::fmt;
use std::sync::{Arc, Mutex};

use dscore_tls::Suite;
use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use ring::hkdf::{self, HKDF_SHA256, HKDF_SHA384, Prk};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self as provider, cipher_suite};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, KeyLog, SignatureScheme};

use super::{DATA, Said, pattern};

/// What a handshake has told of its secrets.
#[derive(Debug, Default)]
pub struct Secrets(Mutex<[Vec<u8>; 2]>);

impl KeyLog for Secrets {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        let mut kept = self.0.lock().unwrap();
        match label {
            "CLIENT_TRAFFIC_SECRET_0" => kept[0] = secret.to_vec(),
            "SERVER_TRAFFIC_SECRET_0" => kept[1] = secret.to_vec(),
            _ => {}
        }
    }
}

/// Of a client that has this suite only, and takes every certificate.
pub fn client_config(suite: Suite) -> (Arc<ClientConfig>, Arc<Secrets>) {
    let suite = match suite {
        Suite::Aes128Gcm => cipher_suite::TLS13_AES_128_GCM_SHA256,
        Suite::Aes256Gcm => cipher_suite::TLS13_AES_256_GCM_SHA384,
        Suite::ChaCha20Poly1305 => cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    };
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![suite],
        kx_groups: vec![provider::kx_group::X25519],
        ..provider::default_provider()
    });
    let secrets = Arc::new(Secrets::default());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_secret_extraction = true;
    config.key_log = secrets.clone();
    (Arc::new(config), secrets)
}

#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// One that says what it likes.
pub struct Raw {
    pub sealing: Direction,
    pub opening: Direction,
}

impl Raw {
    pub fn new(suite: Suite, client: ClientConnection, secrets: &Secrets) -> Self {
        let extracted = client.dangerous_extract_secrets().unwrap();
        let kept = secrets.0.lock().unwrap();
        Self {
            sealing: Direction::new(suite, &kept[0], extracted.tx.0),
            opening: Direction::new(suite, &kept[1], extracted.rx.0),
        }
    }

    pub fn say(&mut self, said: &Said) -> Vec<u8> {
        match said {
            Said::Data { length } => self.sealing.seal(DATA, &pattern(*length), 0),
            Said::Inner {
                kind,
                content,
                padding,
            } => self.sealing.seal(*kind, content, *padding),
            Said::Update { asks } => {
                let record = self.sealing.seal(22, &[24, 0, 0, 1, u8::from(*asks)], 0);
                self.sealing.update();
                record
            }
            Said::Spread {
                asks,
                first,
                second,
            } => {
                let message = [24, 0, 0, 1, u8::from(*asks)];
                let (first, rest) = message.split_at(*first);
                let (second, third) = rest.split_at((*second).min(rest.len() - 1));
                let parts = [first, second, third];
                let records = parts.map(|part| self.sealing.seal(22, part, 0)).concat();
                self.sealing.update();
                records
            }
            Said::Touched { length, at, bits } => {
                let mut record = self.sealing.seal(DATA, &pattern(*length), 0);
                let at = 5 + at % (record.len() - 5);
                record[at] ^= bits;
                record
            }
            Said::Bytes(bytes) => bytes.clone(),
            Said::Server { .. } => Vec::new(),
        }
    }

    /// Opens whole records; keys change as they say.
    pub fn open_all(&mut self, bytes: &mut Vec<u8>) -> Vec<(u8, Vec<u8>)> {
        let (mut opened, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let end = at + 5 + usize::from(u16::from_be_bytes([bytes[at + 3], bytes[at + 4]]));
            let (kind, content) = self.opening.open(&bytes[at..end]);
            if kind == 22 {
                assert_eq!(content, [24, 0, 0, 1, 0]);
                self.opening.update();
            }
            opened.push((kind, content));
            at = end;
        }
        bytes.clear();
        opened
    }
}

/// Keys of one direction, derived as RFC 8446 §7 says.
pub struct Direction {
    suite: Suite,
    secret: Vec<u8>,
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Direction {
    pub fn new(suite: Suite, secret: &[u8], sequence: u64) -> Self {
        let (algorithm, _) = algorithms(suite);
        let key = expand(suite, secret, "key", algorithm.key_len());
        Self {
            suite,
            secret: secret.to_vec(),
            key: LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap()),
            iv: expand(suite, secret, "iv", 12).try_into().unwrap(),
            sequence,
        }
    }

    pub fn update(&mut self) {
        let next = expand(self.suite, &self.secret, "traffic upd", self.secret.len());
        *self = Self::new(self.suite, &next, 0);
    }

    pub fn seal(&mut self, kind: u8, content: &[u8], padding: usize) -> Vec<u8> {
        let mut inner = [content, &[kind], &vec![0; padding]].concat();
        let length = (inner.len() + 16) as u16;
        let [high, low] = length.to_be_bytes();
        let header = [23, 3, 3, high, low];
        let nonce = self.nonce();
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(header), &mut inner)
            .unwrap();
        [&header[..], &inner].concat()
    }

    pub fn open(&mut self, record: &[u8]) -> (u8, Vec<u8>) {
        let (header, sealed) = record.split_at(5);
        assert_eq!(header[..3], [23, 3, 3]);
        let mut sealed = sealed.to_vec();
        let nonce = self.nonce();
        let inner = self
            .key
            .open_in_place(nonce, Aad::from(header), &mut sealed)
            .expect("sealed with the next number of this key");
        let (kind, content) = inner.split_last().unwrap();
        (*kind, content.to_vec())
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, number) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= number;
        }
        self.sequence += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

impl fmt::Debug for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {} records", self.suite, self.sequence)
    }
}

fn algorithms(suite: Suite) -> (&'static Algorithm, hkdf::Algorithm) {
    match suite {
        Suite::Aes128Gcm => (&AES_128_GCM, HKDF_SHA256),
        Suite::Aes256Gcm => (&AES_256_GCM, HKDF_SHA384),
        Suite::ChaCha20Poly1305 => (&CHACHA20_POLY1305, HKDF_SHA256),
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(suite: Suite, secret: &[u8], label: &str, length: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let mut info = (length as u16).to_be_bytes().to_vec();
    info.push(label.len() as u8);
    info.extend_from_slice(label.as_bytes());
    info.push(0);
    let mut out = vec![0; length];
    let prk = Prk::new_less_safe(algorithms(suite).1, secret);
    let info = [&info[..]];
    prk.expand(&info, Length(length))
        .unwrap()
        .fill(&mut out)
        .unwrap();
    out
}
