//! A handshake, from the first byte to an established connection. Bytes in, bytes out; the two dear steps (what the
//! ClientHello is answered with) wait for [`Handshake::go_on`], so that they can be paced.
//!
//! | state | whole ClientHello | go on | last flight | anything else |
//! |---|---|---|---|---|
//! | hello | ready | hello | failed | failed |
//! | ready | ready | running | failed | ready |
//! | running | failed | running | done | failed |
//! | done | — | — | — | its data is kept, for the connection |

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::{Accepted, Acceptor};
use rustls::{Error, HandshakeKind, ServerConnection};

use crate::buffered;
use crate::clock::unix_s;
use crate::config::{RecordLayerKind, TlsConfig};
use crate::connection::{MAX_OPENED_BEYOND, Tls};
use crate::extraction::{TrafficSecrets, extract, watched};
use crate::failure::Failure;
use crate::names::client_names;
use crate::partial::{Partial, record_length};
use crate::refusal::Refusal;

/// The type of a record that a handshake begins with (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
/// Alerts (RFC 8446 §6).
const HANDSHAKE_FAILURE: u8 = 40;
const ACCESS_DENIED: u8 = 49;
/// A ClientHello with everything in it that is known has 2 KB.
const MAX_HELLO: usize = 16 * 1024;
/// What a client sends after it: its certificates.
const MAX_FLIGHT: usize = 64 * 1024;

/// Whether a connection that begins with this byte wants TLS. No request of HTTP does.
pub fn begins_handshake(first: u8) -> bool {
    first == HANDSHAKE
}

/// A handshake under way.
pub struct Handshake {
    config: Arc<TlsConfig>,
    state: State,
    partial: Partial,
    /// Bytes that came so far in this state.
    bytes: usize,
    /// What the client has said already behind its last flight.
    plain: Vec<u8>,
    /// What is to be written.
    out: Vec<u8>,
}

enum State {
    Hello(Box<Acceptor>),
    Ready(Box<Accepted>),
    Running(Box<Running>),
    Done(Box<Done>),
    Over,
}

struct Running {
    connection: ServerConnection,
    /// For a record layer of our own.
    secrets: Option<Arc<TrafficSecrets>>,
}

struct Done {
    tls: Tls,
    certificates: Vec<CertificateDer<'static>>,
    is_resumed: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More is to come.
    Waits,
    /// The ClientHello is whole: [`Handshake::go_on`].
    Ready,
    /// Done, once what is to be written is: [`Handshake::establish`].
    Done,
}

/// A connection, and what came with its handshake.
#[derive(Debug)]
pub struct Established {
    /// The connection.
    pub tls: Tls,
    /// What the client has said already.
    pub input: Vec<u8>,
    /// Of its certificate, if it showed one.
    pub certificate_names: Vec<String>,
    /// It was known from before.
    pub is_resumed: bool,
}

impl Handshake {
    /// Begins one.
    pub fn new(config: Arc<TlsConfig>) -> Self {
        Self {
            config,
            state: State::Hello(Box::default()),
            partial: Partial::default(),
            bytes: 0,
            plain: Vec::new(),
            out: Vec::new(),
        }
    }

    /// What is to be written before anything else happens; the rest stays.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Acts on what came.
    ///
    /// # Errors
    /// There will be no connection.
    pub fn on_data(&mut self, input: &[u8]) -> Result<Progress, Refusal> {
        self.bytes += input.len();
        let most = match self.state {
            State::Hello(_) | State::Ready(_) => MAX_HELLO,
            State::Running(_) | State::Done(_) | State::Over => MAX_FLIGHT,
        };
        if self.bytes > most {
            return Err(Failure::Invalid.into());
        }
        // Records are opened where they lie.
        let mut input = input.to_vec();
        if matches!(self.state, State::Done(_)) {
            self.on_established(&mut input)?;
            return Ok(Progress::Done);
        }
        let mut partial = std::mem::take(&mut self.partial);
        partial.push(&mut input, |records| self.on_records(records))?;
        match &mut self.state {
            State::Done(done) => done.tls.begin_with(partial),
            _ => self.partial = partial,
        }
        Ok(self.progress())
    }

    /// Answers the ClientHello.
    ///
    /// # Errors
    /// There will be no connection.
    pub fn go_on(&mut self) -> Result<Progress, Refusal> {
        let State::Ready(accepted) = std::mem::replace(&mut self.state, State::Over) else {
            return Err(Failure::Invalid.into());
        };
        let (config, secrets) = match self.config.record_layer {
            RecordLayerKind::Rustls => (self.config.server.clone(), None),
            RecordLayerKind::Own => {
                let (config, secrets) = watched(&self.config.server);
                (config, Some(secrets))
            }
        };
        let has_cipher = self
            .config
            .has_cipher_of(accepted.client_hello().cipher_suites());
        match accepted.into_connection(config) {
            Ok(connection) => {
                self.state = State::Running(Box::new(Running {
                    connection,
                    secrets,
                }));
                self.bytes = 0;
                self.write();
                Ok(self.progress())
            }
            Err((error, mut alert)) => {
                let _never_fails = alert.write_all(&mut self.out);
                Err(self.say_why(&error, has_cipher))
            }
        }
    }

    /// rustls says access_denied where no certificate could be chosen, and none was shown yet that access could be denied to:
    /// there is no signature or no cipher in common, which is handshake_failure (RFC 8446 §4.1.1).
    fn say_why(&mut self, error: &Error, has_cipher: bool) -> Refusal {
        match self.out.last_mut() {
            Some(alert) if *alert == ACCESS_DENIED => {
                *alert = HANDSHAKE_FAILURE;
                let cause = if has_cipher {
                    "no_common_signature"
                } else {
                    "no_common_cipher"
                };
                Refusal {
                    cause,
                    ..Failure::Incompatible.into()
                }
            }
            _ => error.into(),
        }
    }

    /// The connection, when it is [`Progress::Done`].
    ///
    /// # Errors
    /// The client's certificate is not good, or missing: a resumed session is judged anew, by the present lists.
    pub fn establish(self) -> Result<Established, Refusal> {
        let State::Done(done) = self.state else {
            return Err(Failure::Invalid.into());
        };
        match (&self.config.clients, done.certificates.split_first()) {
            (Some(_), None) if self.config.requires_client => {
                return Err(Failure::Certificate.into());
            }
            (Some(clients), Some((own, chain))) if done.is_resumed => {
                let now = UnixTime::since_unix_epoch(Duration::from_secs(unix_s()));
                clients
                    .verify_client_cert(own, chain, now)
                    .map_err(|error| Refusal::from(&error))?;
            }
            _ => {}
        }
        let certificate_names = done.certificates.first().map(|own| client_names(own));
        Ok(Established {
            certificate_names: certificate_names.unwrap_or_default(),
            tls: done.tls,
            input: self.plain,
            is_resumed: done.is_resumed,
        })
    }

    fn on_records(&mut self, records: &mut [u8]) -> Result<(), Refusal> {
        match &mut self.state {
            State::Hello(_) => self.on_hello(records),
            State::Running(_) => self.on_flight(records),
            State::Done(_) => self.on_established(records),
            // RFC 8446 §4.1.2: a client waits for the answer to its hello; we offer no early data.
            State::Ready(_) | State::Over => Err(Failure::Invalid.into()),
        }
    }

    /// One record at a time: what is behind the last of the handshake is the record layer's that goes on.
    fn on_flight(&mut self, mut records: &mut [u8]) -> Result<(), Refusal> {
        while !records.is_empty() {
            let State::Running(running) = &mut self.state else {
                return self.on_established(records);
            };
            let length = record_length(records).unwrap_or(records.len());
            let (record, rest) = records.split_at_mut(length.min(records.len()));
            records = rest;
            let opened = buffered::open(&mut running.connection, record, &mut []);
            self.write();
            opened.map_err(|error| Refusal::from(&error))?;
            self.finish()?;
        }
        Ok(())
    }

    /// The handshake may be done: all that rustls had to say of it, its ticket too, is among what is to be written.
    fn finish(&mut self) -> Result<(), Refusal> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Running(running) if !running.connection.is_handshaking() => {
                let connection = running.connection;
                let certificates = connection.peer_certificates().unwrap_or_default().to_vec();
                let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
                let tls = match running.secrets {
                    None => Tls::buffered(connection),
                    Some(secrets) => extract(connection, &secrets)
                        .map(Tls::own)
                        .map_err(|error| Refusal::from(&error))?,
                };
                self.state = State::Done(Box::new(Done {
                    tls,
                    certificates,
                    is_resumed,
                }));
            }
            state => self.state = state,
        }
        Ok(())
    }

    /// The bytes of one flight bound what is kept.
    fn on_established(&mut self, input: &mut [u8]) -> Result<(), Refusal> {
        let State::Done(done) = &mut self.state else {
            return Err(Failure::Invalid.into());
        };
        let mut plain = vec![0; input.len() + MAX_OPENED_BEYOND];
        let opened = done.tls.open(input, &mut plain);
        // Answers and alerts; into memory it never fails.
        let _written = done.tls.send(&mut [], &mut self.out);
        let opened = plain.get(..opened?.count).unwrap_or_default();
        self.plain.extend_from_slice(opened);
        Ok(())
    }

    fn on_hello(&mut self, records: &[u8]) -> Result<(), Refusal> {
        let State::Hello(acceptor) = &mut self.state else {
            return Err(Failure::Invalid.into());
        };
        let mut records = records;
        while !records.is_empty() {
            if !matches!(acceptor.read_tls(&mut records), Ok(1..)) {
                return Err(Failure::Invalid.into());
            }
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    self.state = State::Ready(Box::new(accepted));
                    return if records.is_empty() {
                        Ok(())
                    } else {
                        Err(Failure::Invalid.into())
                    };
                }
                Err((error, mut alert)) => {
                    let _never_fails = alert.write_all(&mut self.out);
                    return Err(Refusal::from(&error));
                }
            }
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        match &self.state {
            State::Ready(_) => Progress::Ready,
            State::Done(_) => Progress::Done,
            State::Hello(_) | State::Running(_) | State::Over => Progress::Waits,
        }
    }

    /// Takes what rustls has to say.
    fn write(&mut self) {
        if let State::Running(running) = &mut self.state {
            while running.connection.wants_write() {
                // Into memory: it never fails.
                let _written = running.connection.write_tls(&mut self.out);
            }
        }
    }
}
