//! A connection in the hands of rustls, which buffers what it opens and seals.

use std::io::{self, IoSlice, Read, Write};

use rustls::{Error, ServerConnection};

use crate::record::{MAX_SEALED, Opened};

/// Opens whole records into `plain`, which has room for them.
pub(crate) fn open(
    connection: &mut ServerConnection,
    mut records: &[u8],
    plain: &mut [u8],
) -> Result<Opened, Error> {
    let refused = |error: io::Error| Error::General(error.to_string());
    let mut opened = Opened::default();
    while !records.is_empty() && !opened.has_ended {
        if connection.read_tls(&mut records).map_err(refused)? == 0 {
            break;
        }
        let state = connection.process_new_packets()?;
        opened.has_ended = state.peer_has_closed();
        if state.plaintext_bytes_to_read() > 0 {
            let room = plain.get_mut(opened.count..).unwrap_or_default();
            opened.count += connection.reader().read(room).map_err(refused)?;
        }
    }
    Ok(opened)
}

/// Seals one record of what is in front; how much that is.
pub(crate) fn seal(connection: &mut ServerConnection, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut writer = connection.writer();
    match pieces.first() {
        Some(first) if first.len() >= MAX_SEALED => writer.write(&first[..MAX_SEALED]),
        Some(first) if pieces.len() == 1 => writer.write(first),
        _ => {
            let mut room = MAX_SEALED;
            let mut record = Vec::with_capacity(MAX_SEALED);
            for piece in pieces {
                let part = piece.get(..room).unwrap_or(piece);
                record.extend_from_slice(part);
                room -= part.len();
            }
            writer.write(&record)
        }
    }
}
