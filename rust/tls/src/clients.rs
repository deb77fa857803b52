//! Certificates that clients show: from whom they are wanted, and who signs those that are taken.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::certificates::read_certificates;
use crate::error::{TlsError, read};
use crate::refusal;

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// No.
    #[default]
    None,
    /// Yes; one that shows none is taken, one that shows a bad one is not.
    Optional,
    /// Yes, and without a good one none is taken.
    Required,
}

impl ClientAuth {
    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "optional" => Some(Self::Optional),
            "required" => Some(Self::Required),
            _ => None,
        }
    }
}

/// How clients' certificates are judged, and what is to be told of the files for it.
pub(crate) struct Clients {
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
    /// What tells this authority from others: a ticket of another one is worth nothing here.
    pub(crate) identity: Vec<u8>,
    pub(crate) warnings: Vec<String>,
}

/// Judges as another does, and notes what it finds not good: the log is to tell whose it was.
#[derive(Debug)]
struct Noting(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Noting {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verdict = self.0.verify_client_cert(own, chain, now);
        verdict.inspect_err(|_| refusal::note(own))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = self.0.verify_tls12_signature(message, own, signed);
        verdict.inspect_err(|_| refusal::note(own))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = self.0.verify_tls13_signature(message, own, signed);
        verdict.inspect_err(|_| refusal::note(own))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Reads the authority's certificates and its revocation lists.
///
/// A list need not name every authority of a chain, but that of each client's own certificate: one that is on no list at
/// all could not be told from one that was taken off it.
pub(crate) fn load(
    provider: &Arc<CryptoProvider>,
    authority: &Path,
    lists: &[PathBuf],
    auth: ClientAuth,
    now_s: i64,
) -> Result<Clients, TlsError> {
    let mut roots = RootCertStore::empty();
    let mut identity = vec![auth as u8];
    for certificate in read_certificates(authority)? {
        identity.extend_from_slice(&certificate);
        roots
            .add(certificate)
            .map_err(|error| TlsError::unfit(authority, format!("no authority: {error}")))?;
    }
    let mut warnings = Vec::new();
    let mut crls = Vec::new();
    for path in lists {
        crls.extend(read_list(path, now_s, &mut warnings)?);
    }
    let builder = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        .with_crls(crls)
        .only_check_end_entity_revocation();
    let builder = match auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        ClientAuth::None | ClientAuth::Required => builder,
    };
    let verifier = builder.build().map_err(|error| {
        TlsError::unfit(authority, format!("no client can be judged by it: {error}"))
    })?;
    Ok(Clients {
        verifier: Arc::new(Noting(verifier)),
        identity,
        warnings,
    })
}

fn read_list(
    path: &Path,
    now_s: i64,
    warnings: &mut Vec<String>,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let lists = lists.map_err(|error| TlsError::unfit(path, format!("is no PEM file: {error}")))?;
    if lists.is_empty() {
        let what = "holds no revocation list: a PEM file is needed, with BEGIN X509 CRL";
        return Err(TlsError::unfit(path, what));
    }
    for list in &lists {
        let (_, parsed) = CertificateRevocationList::from_der(list.as_ref())
            .map_err(|error| TlsError::unfit(path, format!("cannot be read: {error}")))?;
        if let Some(next) = parsed.next_update()
            && next.timestamp() < now_s
        {
            // Refusing a whole fleet for a list that was not renewed in time would do more harm than an old list.
            warnings.push(format!(
                "{}: a newer revocation list was due on {next}; this one goes on in force",
                path.display()
            ));
        }
    }
    Ok(lists)
}
