//! Where a connection leaves rustls: the one file that names what rustls calls dangerous.
//!
//! rustls gives keys and how many records were sent under each, but no traffic secrets, which a change of the key is made
//! from (RFC 8446 §7.2): those it tells a [`KeyLog`], which for each handshake is another. Keys are derived from them anew,
//! and nothing goes on where rustls' own are others.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::{
    ConnectionTrafficSecrets, Error, ExtractedSecrets, KeyLog, ServerConfig, ServerConnection,
};
use zeroize::Zeroize;

use crate::layer::RecordLayer;
use crate::secrets::{Key, Suite, TrafficSecret};

const CLIENT: &str = "CLIENT_TRAFFIC_SECRET_0";
const SERVER: &str = "SERVER_TRAFFIC_SECRET_0";

/// The traffic secrets of one handshake.
#[derive(Default)]
pub(crate) struct TrafficSecrets(Mutex<[Vec<u8>; 2]>);

impl KeyLog for TrafficSecrets {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match label {
            CLIENT => kept[0] = secret.to_vec(),
            SERVER => kept[1] = secret.to_vec(),
            _ => {}
        }
    }

    fn will_log(&self, label: &str) -> bool {
        matches!(label, CLIENT | SERVER)
    }
}

impl Drop for TrafficSecrets {
    fn drop(&mut self) {
        let kept = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        kept.zeroize();
    }
}

impl fmt::Debug for TrafficSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficSecrets").finish_non_exhaustive()
    }
}

/// The same configuration for one handshake, whose secrets are kept.
pub(crate) fn watched(config: &ServerConfig) -> (Arc<ServerConfig>, Arc<TrafficSecrets>) {
    let secrets = Arc::new(TrafficSecrets::default());
    let mut config = config.clone();
    config.key_log = secrets.clone();
    config.enable_secret_extraction = true;
    (Arc::new(config), secrets)
}

/// What goes on from a handshake that is done, all of whose records are written.
pub(crate) fn extract(
    connection: ServerConnection,
    secrets: &TrafficSecrets,
) -> Result<RecordLayer, Error> {
    let ExtractedSecrets { tx, rx } = connection.dangerous_extract_secrets()?;
    let kept = secrets.0.lock().unwrap_or_else(PoisonError::into_inner);
    let [client, server] = &*kept;
    match (keyed(client, rx), keyed(server, tx)) {
        (Some((suite, receiving)), Some((other, sending))) if suite == other => {
            Ok(RecordLayer::with(suite, receiving, sending))
        }
        _ => Err(Error::General("keys are not those of their secrets".into())),
    }
}

fn keyed(
    secret: &[u8],
    (sequence, own): (u64, ConnectionTrafficSecrets),
) -> Option<(Suite, (Key, TrafficSecret))> {
    let (suite, key, iv) = match &own {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (Suite::Aes128Gcm, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (Suite::Aes256Gcm, key, iv),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
            (Suite::ChaCha20Poly1305, key, iv)
        }
        _ => return None,
    };
    let secret = TrafficSecret::new(suite, secret)?;
    let made = secret.key(suite, sequence)?;
    made.is(key.as_ref(), iv.as_ref())
        .then_some((suite, (made, secret)))
}
