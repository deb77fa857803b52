//! The model of the record layer: rustls. Two servers, one of each, have a client each that says the same; what one of them
//! makes of it, the other must. The clients are handshakes of rustls' that went on by themselves, so that they can say
//! whatever is not allowed, too.
//!
//! What they say is decoded from bytes, for tests and fuzzing alike.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "a test that cannot go on has failed; each user has its part of it"
)]

mod client;
mod said;

use std::io::{self, IoSlice, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use dscore_tls::{
    CertificateFiles, Failure, Handshake, MAX_OPENED_BEYOND, Progress, RecordLayer,
    RecordLayerKind, Secret, Suite, Tls, TlsConfig, TlsFiles,
};
use rustls::ClientConnection;

pub use client::{Direction, Raw, Secrets, client_config};
pub use said::{Said, Script, decode};

pub const SUITES: [Suite; 3] = [Suite::Aes128Gcm, Suite::Aes256Gcm, Suite::ChaCha20Poly1305];
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const DATA: u8 = 23;

/// Of a server whose certificate lies beside this file.
pub fn server_config(record_layer: RecordLayerKind) -> Arc<TlsConfig> {
    static CONFIGS: [OnceLock<Arc<TlsConfig>>; 2] = [OnceLock::new(), OnceLock::new()];
    let config = &CONFIGS[usize::from(record_layer == RecordLayerKind::Own)];
    // Of the package that has this as a module: the crate itself, its fuzzing or the benches.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        "tests/model",
        "../tls/tests/model",
        "../rust/tls/tests/model",
    ];
    let mut folders = folders.map(|folder| package.join(folder)).into_iter();
    let folder = folders
        .find(|folder| folder.exists())
        .expect("it lies beside this file");
    let load = || {
        let files = TlsFiles {
            certificates: vec![CertificateFiles {
                certificate: folder.join("certificate.pem"),
                key: folder.join("key.pem"),
            }],
            record_layer,
            ..TlsFiles::default()
        };
        Arc::new(TlsConfig::load(&files).expect("the files beside the tests are good"))
    };
    config.get_or_init(load).clone()
}

/// A handshake up to where the server is done: what the client has still to read is in the last.
pub fn shake_hands(
    record_layer: RecordLayerKind,
    suite: Suite,
    early: &[u8],
) -> (Tls, Vec<u8>, ClientConnection, Arc<Secrets>) {
    let (config, secrets) = client_config(suite);
    let mut client = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut server = Handshake::new(server_config(record_layer));
    if !early.is_empty() {
        client.writer().write_all(early).unwrap();
    }
    loop {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        let mut progress = server.on_data(&flight).expect("a client of rustls'");
        if progress == Progress::Ready {
            progress = server.go_on().unwrap();
        }
        feed(&mut client, server.output());
        if progress == Progress::Done {
            break;
        }
    }
    let established = server.establish().unwrap();
    (established.tls, established.input, client, secrets)
}

/// The client reads all of it.
pub fn feed(client: &mut ClientConnection, bytes: &mut Vec<u8>) {
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        client.read_tls(&mut rest).unwrap();
        client.process_new_packets().unwrap();
    }
    bytes.clear();
}

/// A server, with a client that says what it likes.
pub struct Pair {
    pub tls: Tls,
    pub raw: Raw,
    pub heard: Vec<u8>,
    /// What the client has heard of the server: data, and alerts.
    pub said: Vec<u8>,
    pub alerts: Vec<u8>,
    wire: Narrow,
    plain: Vec<u8>,
}

impl Pair {
    pub fn new(record_layer: RecordLayerKind, suite: Suite) -> Self {
        let (tls, input, client, secrets) = shake_hands(record_layer, suite, b"");
        assert_eq!(input, b"");
        Self::with(tls, Raw::new(suite, client, &secrets))
    }

    /// Without a handshake, which takes a thousand times as long as a record.
    pub fn at_once(suite: Suite) -> Self {
        let length = if suite == Suite::Aes256Gcm { 48 } else { 32 };
        let [client, server] = [1, 2].map(|byte| vec![byte; length]);
        let secret = |bytes| Secret { bytes, sequence: 0 };
        let layer = RecordLayer::new(suite, secret(&client), secret(&server)).unwrap();
        let raw = Raw {
            sealing: Direction::new(suite, &client, 0),
            opening: Direction::new(suite, &server, 0),
        };
        Self::with(Tls::own(layer), raw)
    }

    fn with(tls: Tls, raw: Raw) -> Self {
        Self {
            tls,
            raw,
            heard: Vec::new(),
            said: Vec::new(),
            alerts: Vec::new(),
            wire: Narrow::default(),
            plain: Vec::new(),
        }
    }

    /// The server gets bytes; whether it has heard that there come no more.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        let room = bytes.len() + MAX_OPENED_BEYOND;
        self.plain.resize(room.max(self.plain.len()), 0);
        let opened = self.tls.open(&mut bytes.to_vec(), &mut self.plain);
        self.wire.takes = usize::MAX;
        self.tls.send(&mut [], &mut self.wire).unwrap();
        self.listen();
        let opened = opened?;
        self.heard.extend_from_slice(&self.plain[..opened.count]);
        Ok(opened.has_ended)
    }

    /// The server sends pieces on a socket that takes so little at a time.
    pub fn send(&mut self, pieces: &[&[u8]], takes: usize) {
        let all = pieces.concat();
        let mut sent = 0;
        while sent < all.len() {
            self.wire.takes = takes.max(1);
            let mut rest: Vec<IoSlice<'_>> = Vec::new();
            let mut skip = sent;
            for piece in pieces {
                let from = skip.min(piece.len());
                skip -= from;
                rest.push(IoSlice::new(&piece[from..]));
            }
            let more = self.tls.send(&mut rest, &mut self.wire).unwrap();
            sent += more;
            assert!(self.tls.on_its_way() <= all.len() - sent);
        }
        assert_eq!(self.tls.on_its_way(), 0);
        self.listen();
    }

    pub fn finish(&mut self) {
        self.wire.takes = usize::MAX;
        self.tls.finish(&mut self.wire).unwrap();
        self.listen();
    }

    fn listen(&mut self) {
        for (kind, content) in self.raw.open_all(&mut self.wire.bytes) {
            match kind {
                DATA => self.said.extend_from_slice(&content),
                ALERT => self.alerts.extend_from_slice(&content),
                _ => assert_eq!(kind, HANDSHAKE),
            }
        }
    }
}

/// A socket that takes so many bytes, then none.
#[derive(Default)]
pub struct Narrow {
    pub bytes: Vec<u8>,
    pub takes: usize,
}

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.takes);
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.takes -= count;
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Both servers hear the same, cut in the same places, and say the same.
pub fn check(script: &Script) {
    let [mut own, mut model] =
        [RecordLayerKind::Own, RecordLayerKind::Rustls].map(|kind| Pair::new(kind, script.suite));
    let mut cuts = script.cuts();
    // What is no record is refused by rustls later, perhaps, and by another alert.
    let mut is_garbled = false;
    for said in &script.said {
        if let Said::Server { lengths, takes } = said {
            let bytes: Vec<Vec<u8>> = lengths.iter().map(|length| pattern(*length)).collect();
            let pieces: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
            for pair in [&mut own, &mut model] {
                pair.send(&pieces, *takes);
            }
            assert!(own.said == model.said, "{said:?}");
            continue;
        }
        is_garbled |= matches!(said, Said::Bytes(_));
        let (ours, theirs) = (own.raw.say(said), model.raw.say(said));
        assert_eq!(ours.len(), theirs.len());
        let mut at = 0;
        while at < ours.len() {
            let end = (at + cuts.next().unwrap()).min(ours.len());
            let mine = own.receive(&ours[at..end]);
            let other = model.receive(&theirs[at..end]);
            at = end;
            assert!(own.heard == model.heard, "{said:?}");
            if mine.is_err() {
                assert!(is_garbled || other.is_err(), "{said:?}");
                assert!(
                    is_garbled || !said.is_judged_alike() || own.alerts == model.alerts,
                    "{said:?}: {:?}, {:?}",
                    own.alerts,
                    model.alerts
                );
                return;
            }
            assert_eq!(mine, other, "{said:?}");
        }
    }
    own.finish();
    model.finish();
    assert_eq!(own.alerts, model.alerts);
    assert!(own.said == model.said);
}

/// One server hears nothing but what was said, in its order, and is content as long as nothing else was.
pub fn check_alone(script: &Script) {
    let mut pair = Pair::at_once(script.suite);
    let (mut cuts, mut expected, mut sent) = (script.cuts(), Vec::new(), Vec::new());
    let mut is_good = true;
    for said in &script.said {
        match said {
            Said::Data { length } if is_good => expected.extend(pattern(*length)),
            Said::Update { .. } | Said::Spread { .. } | Said::Data { .. } => {}
            Said::Server { lengths, takes } => {
                let bytes: Vec<Vec<u8>> = lengths.iter().map(|length| pattern(*length)).collect();
                let pieces: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
                sent.extend(pieces.concat());
                pair.send(&pieces, *takes);
                assert!(pair.said == sent);
            }
            _ => is_good = false,
        }
        let bytes = pair.raw.say(said);
        let mut at = 0;
        while at < bytes.len() {
            let end = (at + cuts.next().unwrap()).min(bytes.len());
            let heard = pair.receive(&bytes[at..end]);
            at = end;
            if heard.is_err() {
                assert!(!is_good, "{said:?}");
                assert!(pair.alerts.len() <= 2);
                pair.receive(&[DATA, 3, 3, 0, 0]).unwrap_err();
                return;
            }
        }
        assert!(!is_good || pair.heard == expected, "{said:?}");
        // Data that was said as a record of any kind is heard as well.
        assert!(pair.heard.starts_with(&expected), "{said:?}");
    }
}

/// Bytes that show where they are.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}
