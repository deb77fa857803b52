//! `tls-floor PORT CERTIFICATE KEY`: a server of one thread that does TLS handshakes with rustls and nothing else. What a
//! client says behind its handshake is read and dropped. It is the limit for a handshake's cost, as `floor.c` is for the rest.
//!
//! Set up as dscore is: TLS 1.3, ring, X25519 and P-256, one ticket for each connection and no store of sessions.

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrV4, SocketFlags, SocketType, sockopt};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, ServerConnection};
use slab::Slab;

const BACKLOG: i32 = 4096;
const MAX_EVENTS: usize = 256;
const LISTENER: u64 = u64::MAX;

struct Peer {
    socket: OwnedFd,
    tls: ServerConnection,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, certificate, key] = words.as_slice() else {
        return Err("usage: tls-floor PORT CERTIFICATE KEY".into());
    };
    serve(port.parse()?, &config(certificate, key)?)
}

fn config(certificate: &str, key: &str) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let provider = CryptoProvider {
        kx_groups: vec![ring::kx_group::X25519, ring::kx_group::SECP256R1],
        ..ring::default_provider()
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = ring::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

fn serve(port: u16, config: &Arc<ServerConfig>) -> Result<(), Box<dyn Error>> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let listener = listen(port)?;
    epoll::add(
        &epoll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let mut peers: Slab<Peer> = Slab::new();
    let mut events = Vec::with_capacity(MAX_EVENTS);
    loop {
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => accept(&epoll, &listener, config, &mut peers)?,
                token => {
                    let token = token as usize;
                    let is_open = peers.get_mut(token).is_some_and(|peer| go_on(peer).is_ok());
                    if !is_open {
                        peers.try_remove(token);
                    }
                }
            }
        }
    }
}

fn listen(port: u16) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn accept(
    epoll: &OwnedFd,
    listener: &OwnedFd,
    config: &Arc<ServerConfig>,
    peers: &mut Slab<Peer>,
) -> Result<(), Box<dyn Error>> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    loop {
        let socket = match rustix::net::accept_with(listener, flags) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        sockopt::set_tcp_nodelay(&socket, true)?;
        let tls = ServerConnection::new(config.clone())?;
        let entry = peers.vacant_entry();
        let token = EventData::new_u64(entry.key() as u64);
        epoll::add(epoll, &socket, token, EventFlags::IN)?;
        entry.insert(Peer { socket, tls });
    }
}

/// Reads what has come, and answers. Everything that a handshake has to send fits into a socket's buffer.
fn go_on(peer: &mut Peer) -> Result<(), Box<dyn Error>> {
    let mut wire = Wire(&peer.socket);
    if peer.tls.read_tls(&mut wire)? == 0 {
        return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into());
    }
    peer.tls.process_new_packets()?;
    let mut dropped = [0; 1024];
    while peer
        .tls
        .reader()
        .read(&mut dropped)
        .is_ok_and(|got| got > 0)
    {}
    while peer.tls.wants_write() {
        peer.tls.write_tls(&mut wire)?;
    }
    Ok(())
}

/// The socket as rustls wants it.
struct Wire<'a>(&'a OwnedFd);

impl Read for Wire<'_> {
    fn read(&mut self, space: &mut [u8]) -> std::io::Result<usize> {
        Ok(rustix::io::read(self.0, space)?)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(rustix::io::write(self.0, bytes)?)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
