//! Why a handshake was refused, for the log: which of the metrics' words it counts as, a finer one, and of a client
//! certificate that was not good what it says of itself.

use std::cell::RefCell;

use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::failure::{Failure, failure_of};
use crate::names::client_names;

/// Characters of a name, and names, that are told: their owner chose how many there are.
const MAX_TEXT: usize = 256;
const MAX_NAMES: usize = 8;
/// Bytes of a certificate that is read for its names: others have one or two thousand, and one of a hostile client's may
/// have names by the ten thousand.
const MAX_CERTIFICATE: usize = 8 * 1024;

/// Why there is no connection.
#[derive(Debug)]
pub struct Refusal {
    /// As it counts.
    pub failure: Failure,
    /// The same, finer: a word that stays.
    pub cause: &'static str,
    /// The client certificate that was not good, where one could be read and is not long.
    pub certificate: Option<Box<ShownCertificate>>,
}

/// What a client certificate says of itself. It was found not good: none of this is proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownCertificate {
    /// The alternative names, then the common name.
    pub names: Vec<String>,
    /// Who has issued it, as it says.
    pub issuer: String,
    /// Its number there, hexadecimal.
    pub serial: String,
    /// From when on it is valid, Unix seconds.
    pub not_before_s: i64,
    /// Until when.
    pub not_after_s: i64,
}

thread_local! {
    /// Of the call of rustls that goes on: it judges certificates in between, and its error does not hold them.
    static REFUSED: RefCell<Option<Box<ShownCertificate>>> = const { RefCell::new(None) };
}

/// Notes a certificate that was just found not good, for the [`Refusal`] that comes of it on this thread.
pub(crate) fn note(certificate: &CertificateDer<'_>) {
    let shown = ShownCertificate::read(certificate).map(Box::new);
    REFUSED.with_borrow_mut(|noted| *noted = shown);
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let cause = match failure {
            Failure::Version => "version",
            Failure::Incompatible => "incompatible",
            Failure::Certificate => "no_certificate",
            Failure::Refused => "alert",
            Failure::Invalid => "invalid",
        };
        Self {
            failure,
            cause,
            certificate: None,
        }
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        let certificate = REFUSED.with_borrow_mut(Option::take);
        let failure = failure_of(error);
        Self {
            cause: cause_of(error).unwrap_or_else(|| Self::from(failure).cause),
            certificate: certificate.filter(|_| failure == Failure::Certificate),
            failure,
        }
    }
}

impl ShownCertificate {
    fn read(der: &[u8]) -> Option<Self> {
        if der.len() > MAX_CERTIFICATE {
            return None;
        }
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = client_names(der).into_iter().take(MAX_NAMES);
        let validity = certificate.validity();
        Some(Self {
            names: names.map(|name| cut(&name)).collect(),
            issuer: cut(&certificate.issuer().to_string()),
            serial: cut(&certificate.raw_serial_as_string()),
            not_before_s: validity.not_before.timestamp(),
            not_after_s: validity.not_after.timestamp(),
        })
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// None: there is no finer word than that of the [`Failure`].
fn cause_of(error: &Error) -> Option<&'static str> {
    match error {
        Error::InvalidCertificate(error) => Some(certificate_cause(error)),
        Error::PeerIncompatible(error) => incompatible_cause(error),
        Error::NoApplicationProtocol => Some("no_common_protocol"),
        Error::AlertReceived(alert) => Some(alert_cause(*alert)),
        _ => None,
    }
}

fn certificate_cause(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "not_yet_valid"
        }
        CertificateError::Revoked => "revoked",
        CertificateError::UnknownRevocationStatus
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => "not_in_revocation_lists",
        CertificateError::UnknownIssuer => "unknown_ca",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "wrong_usage"
        }
        CertificateError::BadSignature => "bad_signature",
        // Version 1 of X.509, what is marked as critical and not known, what cannot be read.
        _ => "bad_certificate",
    }
}

fn incompatible_cause(error: &PeerIncompatible) -> Option<&'static str> {
    match error {
        PeerIncompatible::NoCipherSuitesInCommon => Some("no_common_cipher"),
        PeerIncompatible::NoKxGroupsInCommon => Some("no_common_group"),
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            Some("no_common_signature")
        }
        _ => None,
    }
}

/// What the client said of our certificate, or of our handshake (RFC 8446 §6).
fn alert_cause(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA => "alert_unknown_ca",
        AlertDescription::BadCertificate => "alert_bad_certificate",
        AlertDescription::CertificateExpired => "alert_certificate_expired",
        AlertDescription::CertificateRevoked => "alert_certificate_revoked",
        AlertDescription::CertificateUnknown => "alert_certificate_unknown",
        AlertDescription::UnsupportedCertificate => "alert_unsupported_certificate",
        AlertDescription::CloseNotify | AlertDescription::UserCanceled => "alert_gave_up",
        _ => "alert",
    }
}
