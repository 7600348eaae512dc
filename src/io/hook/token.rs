//! The token that authorizes hook calls from other hosts, read from a file that may change at any time.
//!
//! The file is read at every such call, so a changed Secret takes effect at once, however its volume is updated (the
//! kubelet renames a symbolic link, `..data`). Each line is a token. A pod's hook keeps the token that it was created
//! with, so the old token must stay valid next to the new one until the last such pod is gone.

use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tracing::warn;

use crate::io::nonblocking::open_nonblocking;

/// The maximum size of the file, in bytes.
const MAX_BYTES: u64 = 4096;

/// A file with one or more tokens, and its last valid content.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    tokens: Vec<Vec<u8>>,
    /// Whether the file has become unreadable or invalid since then.
    unreadable: bool,
}

impl TokenFile {
    /// Reads the tokens for the first time.
    ///
    /// # Errors
    /// Fails if the file cannot be read or its content is invalid.
    pub fn open(path: &Path) -> io::Result<Self> {
        let last = Mutex::new(Last { tokens: read(path)?, unreadable: false });
        Ok(Self { path: path.to_owned(), last })
    }

    /// Whether one of these `Authorization` headers carries a token (RFC 6750, section 2.1).
    pub fn authorizes<'a>(&self, headers: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let mut presented = headers.into_iter().filter_map(bearer).peekable();
        if presented.peek().is_none() {
            return false;
        }
        let tokens = self.current();
        presented.any(|presented| tokens.iter().any(|token| constant_time_eq(presented, token)))
    }

    /// The tokens in the file now, or the last valid ones if it cannot be read.
    fn current(&self) -> Vec<Vec<u8>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Last { tokens, unreadable } = &mut *last;
        match read(&self.path) {
            Ok(now) => (*tokens, *unreadable) = (now, false),
            // Logged once: unauthorized clients must not be able to fill the log.
            Err(error) if !std::mem::replace(unreadable, true) => {
                let path = self.path.display();
                warn!(%path, %error, "cannot read --token-file any more; its last tokens stay valid");
            }
            Err(_) => {}
        }
        tokens.clone()
    }
}

/// Whether a caller is on this host, and so needs no token. IPv4 callers of an IPv6 socket have IPv4-mapped addresses.
#[must_use]
pub fn is_loopback(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

fn read(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut text = Vec::new();
    open_nonblocking(path, OpenOptions::new().read(true))?.take(MAX_BYTES + 1).read_to_end(&mut text)?;
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let tokens: Vec<Vec<u8>> = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
    if tokens.is_empty() {
        return Err(io::Error::other("it is empty"));
    }
    if text.len() as u64 > MAX_BYTES || !tokens.iter().flatten().all(u8::is_ascii_graphic) {
        return Err(io::Error::other(
            "each line must be one token of visible ASCII characters, with at most 4096 bytes in all",
        ));
    }
    Ok(tokens)
}

/// The credentials of a header with the scheme `Bearer`, in any case (RFC 9110, section 11.1).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, presented) = header.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| presented.trim_ascii())
}

/// Compares in a time that does not depend on where the two differ.
fn constant_time_eq(presented: &[u8], token: &[u8]) -> bool {
    let lengths = presented.len() ^ token.len();
    let different = presented.iter().zip(token).fold(lengths, |different, (a, b)| different | usize::from(a ^ b));
    black_box(different) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, content: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lameduck-token-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn only_exact_bearer_token_authorizes() {
        let file = TokenFile::open(&file("whole", b"s3cret-Token\n")).unwrap();
        for (header, authorized) in [
            ("Bearer s3cret-Token", true),
            ("bearer s3cret-Token", true),
            ("BEARER   s3cret-Token ", true),
            ("Bearer s3cret-Toke", false),
            ("Bearer s3cret-Tokenn", false),
            ("Bearer s3cret-token", false),
            ("Bearer S3cret-Token", false),
            ("Bearer s3cret-Token s3cret-Token", false),
            ("Bearer ", false),
            ("Bearer", false),
            ("", false),
            ("s3cret-Token", false),
            ("Basic s3cret-Token", false),
            ("Bearers3cret-Token", false),
        ] {
            assert_eq!(file.authorizes([header.as_bytes()]), authorized, "{header:?}");
        }
        assert!(!file.authorizes([]));
        assert!(file.authorizes([b"Basic eA==".as_slice(), b"Bearer s3cret-Token"]));
    }

    #[test]
    fn changed_file_takes_effect_at_once() {
        let path = file("changed", b"one");
        let file = TokenFile::open(&path).unwrap();
        std::fs::write(&path, "two").unwrap();
        assert!(file.authorizes([b"Bearer two".as_slice()]));
        assert!(!file.authorizes([b"Bearer one".as_slice()]));
    }

    #[test]
    fn every_line_is_a_valid_token() {
        let file = TokenFile::open(&file("lines", b"new-one\r\n\nold-one\n")).unwrap();
        for (header, authorized) in
            [("Bearer new-one", true), ("Bearer old-one", true), ("Bearer new-oneold-one", false)]
        {
            assert_eq!(file.authorizes([header.as_bytes()]), authorized, "{header:?}");
        }
    }

    #[test]
    fn last_token_stays_valid_if_file_is_missing_or_invalid() {
        let path = file("invalid", b"one");
        let file = TokenFile::open(&path).unwrap();
        for invalid in [&b""[..], b" \n", b"two words", b"\xff"] {
            std::fs::write(&path, invalid).unwrap();
            assert!(file.authorizes([b"Bearer one".as_slice()]), "{invalid:?}");
            assert!(!file.authorizes([b"Bearer ".as_slice()]), "{invalid:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(file.authorizes([b"Bearer one".as_slice()]));
    }

    #[test]
    fn open_rejects_invalid_token_file() {
        for invalid in [&b""[..], b" \n", b"two words", b"\xff", b"a\0b", &[b'x'; 4097]] {
            assert!(TokenFile::open(&file("rejected", invalid)).is_err(), "{invalid:?}");
        }
        assert!(TokenFile::open(&file("max-size", &[b'x'; 4096])).is_ok());
        assert!(TokenFile::open(Path::new("/nonexistent")).is_err());
        assert!(TokenFile::open(Path::new("/")).is_err());
    }

    #[test]
    fn loopback_addresses_of_both_families_are_local() {
        for (peer, local) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.7", false),
            ("::ffff:10.0.0.7", false),
            ("fe80::1", false),
            ("::127.0.0.1", false),
            ("::", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_loopback(peer.parse().unwrap()), local, "{peer}");
        }
    }
}
