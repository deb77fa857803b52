//! The way to the server: a socket, and TLS on it for `wss://`.
//!
//! No certificate is verified: the fleet is on loopback, asks what the server costs, and leaves its processor to it.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::{self, Errno};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
    SupportedProtocolVersion,
};

use crate::socket;

const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// A connection's socket and what protects it.
pub(crate) struct Line {
    pub(crate) socket: OwnedFd,
    tls: Option<Box<ClientConnection>>,
}

impl Line {
    pub(crate) fn plain(socket: OwnedFd) -> Self {
        Self { socket, tls: None }
    }

    /// # Errors
    /// TLS has no name for this server.
    pub(crate) fn secure(
        socket: OwnedFd,
        config: &Arc<ClientConfig>,
        server: std::net::IpAddr,
    ) -> Result<Self, rustls::Error> {
        let tls = ClientConnection::new(config.clone(), ServerName::from(server))?;
        let tls = Some(Box::new(tls));
        Ok(Self { socket, tls })
    }

    /// The handshake of TLS is still under way.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// How much was read, and whether there may be more; `None`: there is nothing now.
    ///
    /// # Errors
    /// The connection has ended; in order, that is `PIPE`.
    pub(crate) fn receive(&mut self, input: &mut [u8]) -> io::Result<Option<(usize, bool)>> {
        let Some(tls) = &mut self.tls else {
            let got = socket::receive(&self.socket, input)?;
            // A short read has emptied the socket (epoll(7)).
            return Ok(got.map(|got| (got, got == input.len())));
        };
        loop {
            let mut wire = Wire::new(&self.socket);
            match tls.read_tls(&mut wire) {
                Ok(0) => return Err(Errno::PIPE),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
            }
            let is_emptied = wire.is_emptied;
            let is_well = tls.process_new_packets().is_ok();
            // The last flight of the handshake, an update of keys, an alert.
            push(tls, &self.socket)?;
            if !is_well {
                return Err(Errno::PROTO);
            }
            let got = take(tls, input);
            if got > 0 {
                return Ok(Some((got, !is_emptied || got == input.len())));
            }
        }
    }

    /// How much was taken; a full buffer takes nothing.
    ///
    /// # Errors
    /// The connection has ended.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return if bytes.is_empty() {
                Ok(0)
            } else {
                socket::send(&self.socket, bytes)
            };
        };
        // Before the end of the handshake it waits inside.
        let taken = tls.writer().write(bytes).map_err(|_| Errno::IO)?;
        push(tls, &self.socket)?;
        Ok(taken)
    }
}

/// Sends what TLS has to send, as far as the socket takes it.
fn push(tls: &mut ClientConnection, socket: &OwnedFd) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(&mut Wire::new(socket)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }
    Ok(())
}

/// Takes what was decrypted; an end of TLS is told by the next read.
fn take(tls: &mut ClientConnection, input: &mut [u8]) -> usize {
    let mut got = 0;
    while got < input.len() {
        match tls.reader().read(&mut input[got..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => got += more,
        }
    }
    got
}

/// The socket as rustls wants it.
struct Wire<'a> {
    socket: &'a OwnedFd,
    /// The last read left nothing.
    is_emptied: bool,
}

impl<'a> Wire<'a> {
    fn new(socket: &'a OwnedFd) -> Self {
        Self {
            socket,
            is_emptied: false,
        }
    }
}

impl Read for Wire<'_> {
    fn read(&mut self, space: &mut [u8]) -> std::io::Result<usize> {
        let got = rustix::io::read(self.socket, &mut *space)?;
        self.is_emptied = got < space.len();
        Ok(got)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(rustix::net::send(
            self.socket,
            bytes,
            rustix::net::SendFlags::NOSIGNAL,
        )?)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// TLS 1.3 without resumption: each connection is a handshake of its own.
///
/// # Errors
/// There is no such version; rustls has it.
pub(crate) fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unverified))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Takes any certificate for the server's.
#[derive(Debug)]
struct Unverified;

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::ED25519,
        ]
    }
}
