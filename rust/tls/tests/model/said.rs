//! What is said in a conversation, decoded from bytes.

use dscore_tls::Suite;

use super::{ALERT, DATA, HANDSHAKE, SUITES};

/// RFC 8446 §6.1.
const USER_CANCELED: u8 = 90;

#[derive(Clone, Debug)]
pub enum Said {
    Data {
        length: usize,
    },
    /// A record of any kind of content.
    Inner {
        kind: u8,
        content: Vec<u8>,
        padding: usize,
    },
    Update {
        asks: bool,
    },
    /// The same, spread over three records.
    Spread {
        asks: bool,
        first: usize,
        second: usize,
    },
    /// A record of data of which bits were changed on the way.
    Touched {
        length: usize,
        at: usize,
        bits: u8,
    },
    /// No record of the client's at all.
    Bytes(Vec<u8>),
    /// By the server, in pieces, on a socket that takes so many bytes at a time.
    Server {
        lengths: Vec<usize>,
        takes: usize,
    },
}

#[derive(Clone, Debug)]
pub struct Script {
    pub suite: Suite,
    pub said: Vec<Said>,
    seed: u64,
}

impl Script {
    /// How many bytes come at a time: one, a few, or all of them.
    pub fn cuts(&self) -> impl Iterator<Item = usize> {
        let mut state = self.seed | 1;
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match state >> 61 {
                0 => 1,
                1..=3 => 1 + (state >> 33) as usize % 40,
                _ => usize::MAX >> 1,
            }
        })
    }
}

impl Said {
    /// Whether rustls says by the same alert what is wrong with it. Of an unknown type it says decode_error, where RFC 8446
    /// §5 wants unexpected_message.
    pub fn is_judged_alike(&self) -> bool {
        !matches!(self, Self::Inner { kind, .. } if !matches!(*kind, ALERT | DATA))
    }

    fn is_user_canceled(&self) -> bool {
        matches!(self, Self::Inner { kind: ALERT, content, .. } if content[..] == [1, USER_CANCELED])
    }
}

/// The longest content, and what is around it.
const LONG: [usize; 5] = [16_383, 16_384, 16_385, 16_400, 16_623];
/// Records without data in a row: rustls has limits of its own for them.
const MAX_USELESS: u8 = 8;
/// Fewer than what is refused.
const MAX_UPDATES: u8 = 30;
/// Alerts that mean nothing, in all: rustls refuses a fifth.
const MAX_CANCELED: u8 = 4;

pub fn decode(data: &[u8]) -> Script {
    let mut bytes = data.iter().copied();
    let suite = SUITES[usize::from(bytes.next().unwrap_or(0)) % SUITES.len()];
    let seed = u64::from(bytes.next().unwrap_or(0)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (mut said, mut useless, mut updates, mut canceled) = (Vec::new(), 0, 0, 0);
    while let Some(what) = bytes.next() {
        let mut next = || bytes.next().unwrap_or(0);
        let mut one = one(what, &mut next);
        updates += u8::from(matches!(one, Said::Update { .. } | Said::Spread { .. }));
        canceled += u8::from(one.is_user_canceled());
        if updates > MAX_UPDATES || canceled > MAX_CANCELED {
            one = Said::Data { length: 1 };
            updates = updates.min(MAX_UPDATES);
            canceled = canceled.min(MAX_CANCELED);
        }
        useless = match one {
            Said::Data { length: 1.. } => 0,
            _ => useless + 1,
        };
        said.push(one);
        if useless == MAX_USELESS {
            said.push(Said::Data { length: 1 });
            useless = 0;
        }
    }
    Script { suite, said, seed }
}

fn one(what: u8, next: &mut impl FnMut() -> u8) -> Said {
    match what % 16 {
        0..=3 => Said::Data {
            length: usize::from(next()),
        },
        4 => Said::Data {
            length: LONG[usize::from(next()) % 2],
        },
        5 | 6 => Said::Update {
            asks: next() % 2 == 1,
        },
        7 | 8 => Said::Server {
            lengths: (0..=next() % 4).map(|_| usize::from(next()) * 40).collect(),
            takes: 1 + usize::from(next()) * 16,
        },
        // Behind the header: rustls reads of that what it likes.
        9 => Said::Touched {
            length: usize::from(next()),
            at: usize::from(next()),
            bits: 1 << (next() % 8),
        },
        10 => alert(next),
        11 => Said::Spread {
            asks: next() % 2 == 1,
            first: 1 + usize::from(next()) % 3,
            second: 1 + usize::from(next()) % 3,
        },
        12 => message(next),
        13 => match next() {
            HANDSHAKE => message(next),
            ALERT => alert(next),
            // Nothing but zeros: behind other content this byte is padding, and the type is the last of the content.
            0 => Said::Inner {
                kind: 0,
                content: vec![0; usize::from(next() % 9)],
                padding: usize::from(next()),
            },
            kind => Said::Inner {
                kind,
                content: [&[next()][..], &take(next, 8)].concat(),
                padding: usize::from(next()),
            },
        },
        14 => Said::Inner {
            kind: DATA,
            content: vec![next(); LONG[usize::from(next()) % LONG.len()]],
            padding: 0,
        },
        _ => Said::Bytes(take(next, 255)),
    }
}

/// With the level that its kind has: rustls minds it, though it means nothing (RFC 8446 §6).
fn alert(next: &mut impl FnMut() -> u8) -> Said {
    let alert = next();
    let level = if matches!(alert, 0 | USER_CANCELED) {
        1
    } else {
        2
    };
    let mut content = vec![level, alert];
    content.extend(take(next, 3));
    Said::Inner {
        kind: ALERT,
        content,
        padding: usize::from(next() % 4),
    }
}

/// A whole message of the handshake: rustls waits for all of one that it will refuse.
fn message(next: &mut impl FnMut() -> u8) -> Said {
    let kind = match next() {
        kind if kind % 2 == 0 => 24,
        kind => kind,
    };
    let body = take(next, 3);
    let mut content = vec![kind, 0, 0, body.len() as u8];
    content.extend(body);
    content.extend(take(next, 1));
    Said::Inner {
        kind: HANDSHAKE,
        content,
        padding: 0,
    }
}

fn take(next: &mut impl FnMut() -> u8, most: u8) -> Vec<u8> {
    (0..u16::from(next()) % (u16::from(most) + 1))
        .map(|_| next())
        .collect()
}
