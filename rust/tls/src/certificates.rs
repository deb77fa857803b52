//! A certificate with its chain and its key, checked: the key fits, each certificate is signed by the next, all are in
//! force. What a fleet would refuse with ten thousand failed handshakes is refused here, with a sentence.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::{TlsError, read};
use crate::names;

/// Where a certificate and its key lie, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The server's certificate first, then those up to its authority.
    pub certificate: PathBuf,
    /// The private key of the first.
    pub key: PathBuf,
}

/// A certificate that can be shown.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) certified: Arc<CertifiedKey>,
    /// Host names it is for, wildcards among them.
    pub(crate) names: Vec<String>,
    /// When the first of its chain ceases to be valid, Unix seconds.
    pub(crate) not_after_s: i64,
}

/// Reads and checks. `now_s` are Unix seconds.
pub(crate) fn load(files: &CertificateFiles, now_s: i64) -> Result<Loaded, TlsError> {
    let path = &files.certificate;
    let chain = read_certificates(path)?;
    let parsed = parse_all(path, &chain)?;
    check_chain(path, &parsed)?;
    let not_after_s = check_dates(path, &parsed, now_s)?;
    let names = parsed.first().map(names::host_names).unwrap_or_default();
    drop(parsed);
    let key = any_supported_type(&read_key(&files.key)?).map_err(|error| {
        TlsError::unfit(&files.key, format!("no key that can be used: {error}"))
    })?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| {
        let what = format!(
            "is not the key of the first certificate in {}: give both of one pair, the server's certificate first",
            path.display()
        );
        TlsError::unfit(&files.key, what)
    })?;
    Ok(Loaded {
        certified: Arc::new(certified),
        names,
        not_after_s,
    })
}

/// All certificates of a PEM file, at least one.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::unfit(
            path,
            "holds no certificate: a PEM file is needed, with BEGIN CERTIFICATE",
        )),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(TlsError::unfit(path, format!("is no PEM file: {error}"))),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(path)?;
    let is_encrypted = bytes
        .windows(b"ENCRYPTED".len())
        .any(|word| word == b"ENCRYPTED");
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        _ if is_encrypted => TlsError::unfit(
            path,
            "is protected by a passphrase: write it without one (openssl pkey), readable by the server alone",
        ),
        pem::Error::NoItemsFound => TlsError::unfit(
            path,
            "holds no private key: a PEM file is needed, with BEGIN PRIVATE KEY",
        ),
        error => TlsError::unfit(path, format!("is no PEM file: {error}")),
    })
}

pub(crate) fn parse_all<'a>(
    path: &Path,
    chain: &'a [CertificateDer<'static>],
) -> Result<Vec<X509Certificate<'a>>, TlsError> {
    let parse = |(number, der): (usize, &'a CertificateDer<'static>)| {
        X509Certificate::from_der(der)
            .map(|(_, certificate)| certificate)
            .map_err(|error| {
                let what = format!("certificate {} cannot be read: {error}", number + 1);
                TlsError::unfit(path, what)
            })
    };
    chain.iter().enumerate().map(parse).collect()
}

fn check_chain(path: &Path, chain: &[X509Certificate<'_>]) -> Result<(), TlsError> {
    for (number, pair) in (1..).zip(chain.windows(2)) {
        let [signed, signer] = pair else { continue };
        let is_signed = signed.issuer() == signer.subject()
            && signed.verify_signature(Some(signer.public_key())).is_ok();
        if !is_signed {
            let what = format!(
                "certificate {} is not signed by the one behind it: the server's comes first, then each one's signer",
                number
            );
            return Err(TlsError::unfit(path, what));
        }
    }
    Ok(())
}

/// When the first of them ceases to be valid.
fn check_dates(path: &Path, chain: &[X509Certificate<'_>], now_s: i64) -> Result<i64, TlsError> {
    let mut first_s = i64::MAX;
    for (number, certificate) in (1..).zip(chain) {
        let validity = certificate.validity();
        let (begin, end) = (validity.not_before, validity.not_after);
        if now_s < begin.timestamp() {
            let what =
                format!("certificate {number} is not valid before {begin}: is the clock right?");
            return Err(TlsError::unfit(path, what));
        }
        if now_s > end.timestamp() {
            let what = format!("certificate {number} has expired on {end}: renew it");
            return Err(TlsError::unfit(path, what));
        }
        first_s = first_s.min(end.timestamp());
    }
    Ok(first_s)
}
