//! From files to what handshakes are done by.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CipherSuite, ServerConfig};

use crate::certificates::{self, CertificateFiles};
use crate::clients::{self, ClientAuth};
use crate::clock::unix_s;
use crate::error::TlsError;
use crate::names::Shown;
use crate::tickets::{Tickets, random_key, read_keys};

/// RFC 8446 §4.6.1 allows a week. A day keeps the reconnects of a fleet cheap, and an old key short of use.
const TICKET_LIFETIME_S: u32 = 24 * 3_600;
/// With client certificates: a ticket stands for one that may be revoked meanwhile.
const CLIENT_TICKET_LIFETIME_S: u32 = 3_600;
/// A certificate that ends within so many days is warned of.
const SOON_S: i64 = 7 * 24 * 3_600;
/// RFC 7301.
const ALPN: &[u8] = b"http/1.1";

/// Which files there are, and how clients are judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The first is shown to clients that name no host of any.
    pub certificates: Vec<CertificateFiles>,
    /// Who signs clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients are asked for one.
    pub client_auth: ClientAuth,
    /// Those that are revoked.
    pub client_crl: Vec<PathBuf>,
    /// Where tickets are to outlive this process.
    pub ticket_keys: Option<PathBuf>,
    /// Who opens and seals the records of what is established.
    pub record_layer: RecordLayerKind,
}

/// Who opens and seals records, once a handshake is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordLayerKind {
    /// rustls, which buffers them: some 8 KB a connection.
    #[default]
    Rustls,
    /// [`crate::RecordLayer`]: half a kilobyte.
    Own,
}

impl RecordLayerKind {
    /// By the name that settings have for it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "rustls" => Some(Self::Rustls),
            "own" => Some(Self::Own),
            _ => None,
        }
    }
}

/// One certificate that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Where it lies.
    pub path: PathBuf,
    /// When the first of its chain ends, Unix seconds.
    pub not_after_s: i64,
}

/// What handshakes are done by. A reload makes another one.
#[derive(Debug)]
pub struct TlsConfig {
    pub(crate) server: Arc<ServerConfig>,
    /// Who judges clients' certificates, if they are asked for any.
    pub(crate) clients: Option<Arc<dyn ClientCertVerifier>>,
    pub(crate) requires_client: bool,
    pub(crate) record_layer: RecordLayerKind,
    certificates: Vec<Certificate>,
    warnings: Vec<String>,
    /// Of this process, for where no file has any.
    own_key: [u8; 32],
}

impl TlsConfig {
    /// Reads and checks every file.
    ///
    /// # Errors
    /// Which file is not fit, and why.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        Self::with_key(files, random_key()?)
    }

    /// The same from files that may have changed; what was resumed before goes on to be.
    ///
    /// # Errors
    /// As `load`.
    pub fn reload(&self, files: &TlsFiles) -> Result<Self, TlsError> {
        Self::with_key(files, self.own_key)
    }

    /// Those that are shown.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// What is not wrong yet.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether one of those that a client speaks is spoken here.
    pub(crate) fn has_cipher_of(&self, spoken: &[CipherSuite]) -> bool {
        let own = &self.server.crypto_provider().cipher_suites;
        own.iter().any(|suite| spoken.contains(&suite.suite()))
    }

    fn with_key(files: &TlsFiles, own_key: [u8; 32]) -> Result<Self, TlsError> {
        let now_s = unix_s() as i64;
        let provider = Arc::new(CryptoProvider {
            // The two that every client has, and that cost the least.
            kx_groups: vec![provider::kx_group::X25519, provider::kx_group::SECP256R1],
            ..provider::default_provider()
        });
        let (shown, certificates) = load_certificates(files, now_s)?;
        let mut warnings: Vec<String> = certificates
            .iter()
            .filter(|one| one.not_after_s - now_s < SOON_S)
            .map(|one| {
                let days = (one.not_after_s - now_s) / 86_400;
                let path = one.path.display();
                format!("{path}: ends in {days} days; renew it, then reload with SIGHUP")
            })
            .collect();
        let clients = load_clients(files, &provider, now_s)?;
        let (verifier, identity) = match clients {
            Some(clients) => {
                warnings.extend(clients.warnings);
                (Some(clients.verifier), clients.identity)
            }
            None => (None, Vec::new()),
        };
        let tickets = load_tickets(files, own_key, identity, verifier.is_some())?;
        Ok(Self {
            server: Arc::new(server_config(provider, shown, verifier.clone(), tickets)?),
            clients: verifier,
            requires_client: files.client_auth == ClientAuth::Required,
            record_layer: files.record_layer,
            certificates,
            warnings,
            own_key,
        })
    }
}

fn load_certificates(files: &TlsFiles, now_s: i64) -> Result<(Shown, Vec<Certificate>), TlsError> {
    if files.certificates.is_empty() {
        let what = "there is no certificate: give one with its key";
        return Err(TlsError::Unusable(what.into()));
    }
    let (mut shown, mut certificates) = (Shown::default(), Vec::new());
    for one in &files.certificates {
        let loaded = certificates::load(one, now_s)?;
        shown.add(&loaded.names, &loaded.certified);
        certificates.push(Certificate {
            path: one.certificate.clone(),
            not_after_s: loaded.not_after_s,
        });
    }
    Ok((shown, certificates))
}

fn load_clients(
    files: &TlsFiles,
    provider: &Arc<CryptoProvider>,
    now_s: i64,
) -> Result<Option<clients::Clients>, TlsError> {
    match (&files.client_ca, files.client_auth) {
        (_, ClientAuth::None) => Ok(None),
        (Some(authority), auth) => {
            clients::load(provider, authority, &files.client_crl, auth, now_s).map(Some)
        }
        (None, _) => Err(TlsError::Unusable(
            "clients are to show certificates, but there is no authority to judge them by".into(),
        )),
    }
}

fn load_tickets(
    files: &TlsFiles,
    own_key: [u8; 32],
    identity: Vec<u8>,
    asks_clients: bool,
) -> Result<Tickets, TlsError> {
    let keys = match &files.ticket_keys {
        Some(path) => read_keys(path)?,
        None => vec![own_key],
    };
    let lifetime_s = if asks_clients {
        CLIENT_TICKET_LIFETIME_S
    } else {
        TICKET_LIFETIME_S
    };
    Ok(Tickets::new(&keys, lifetime_s, identity))
}

fn server_config(
    provider: Arc<CryptoProvider>,
    shown: Shown,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    tickets: Tickets,
) -> Result<ServerConfig, TlsError> {
    let unusable = |error: rustls::Error| TlsError::Unusable(error.to_string());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.ticketer = Arc::new(tickets);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    Ok(config)
}
