//! What a refused handshake tells, where no client program would do it: those of tests/test_tls_refusals.py are real ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::sync::Arc;

use dscore_tls::{
    CertificateFiles, ClientAuth, Failure, Handshake, Progress, Refusal, TlsConfig, TlsFiles,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::{default_provider, sign::any_ecdsa_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme};

/// Shows a certificate whose key it does not have.
#[derive(Debug)]
struct Thief(Arc<CertifiedKey>);

impl ResolvesClientCert for Thief {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn beside(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/model")
        .join(name)
}

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_file(beside("certificate.pem")).unwrap()
}

fn thief() -> Arc<Thief> {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.as_ref().to_vec().into());
    let key = any_ecdsa_type(&key).unwrap();
    Arc::new(Thief(Arc::new(CertifiedKey::new(vec![certificate()], key))))
}

/// How a server refuses a client that has to show a certificate.
fn refused(resolver: Option<Arc<dyn ResolvesClientCert>>) -> Refusal {
    let files = TlsFiles {
        certificates: vec![CertificateFiles {
            certificate: beside("certificate.pem"),
            key: beside("key.pem"),
        }],
        client_ca: Some(beside("certificate.pem")),
        client_auth: ClientAuth::Required,
        ..TlsFiles::default()
    };
    let mut server = Handshake::new(Arc::new(TlsConfig::load(&files).unwrap()));
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    let config = ClientConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let config = match resolver {
        Some(resolver) => config.with_client_cert_resolver(resolver),
        None => config.with_no_client_auth(),
    };
    let name = "localhost".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    loop {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        let progress = match server.on_data(&flight) {
            Ok(Progress::Ready) => server.go_on(),
            other => other,
        };
        match progress {
            Err(refusal) => return refusal,
            Ok(progress) => assert_eq!(progress, Progress::Waits),
        }
        let mut said = &std::mem::take(server.output())[..];
        while !said.is_empty() {
            client.read_tls(&mut said).unwrap();
            client.process_new_packets().unwrap();
        }
    }
}

#[test]
fn a_certificate_without_its_key_is_told_of_as_it_was_shown() {
    let refusal = refused(Some(thief()));
    assert_eq!(refusal.failure, Failure::Certificate);
    assert_eq!(refusal.cause, "bad_signature");
    let shown = refusal.certificate.unwrap();
    assert_eq!(shown.names, ["localhost"]);
    assert_eq!(shown.issuer, "CN=localhost");
    assert_eq!(shown.serial, "01");
    assert_eq!(
        (shown.not_before_s, shown.not_after_s),
        (1_577_836_800, 4_733_510_400)
    );
}

#[test]
fn where_none_is_shown_none_is_told_of_even_behind_one_that_was() {
    refused(Some(thief()));
    let refusal = refused(None);
    assert_eq!(refusal.failure, Failure::Certificate);
    assert_eq!(refusal.cause, "no_certificate");
    assert_eq!(refusal.certificate, None);
}
