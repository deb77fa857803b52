//! Why a client did not get its connection, or lost it, in the words of the metrics.

use rustls::{Error, PeerIncompatible};

/// Why there is no connection (any more). An alert may be among what is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The client does not speak TLS 1.3.
    Version,
    /// No cipher, group, signature or protocol in common.
    Incompatible,
    /// The client's certificate is missing, or not good.
    Certificate,
    /// The client refused our certificate, or gave up.
    Refused,
    /// It broke the protocol.
    Invalid,
}

/// What rustls' errors mean.
pub(crate) fn failure_of(error: &Error) -> Failure {
    match error {
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls12NotOffered,
        ) => Failure::Version,
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Failure::Incompatible,
        Error::InvalidCertificate(_)
        | Error::InvalidCertRevocationList(_)
        | Error::NoCertificatesPresented => Failure::Certificate,
        Error::AlertReceived(_) => Failure::Refused,
        _ => Failure::Invalid,
    }
}
