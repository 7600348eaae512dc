//! The token that a caller from another host must carry, read from a file that may change at any time.
//!
//! The file is read again at every such call, so that a Secret that was changed counts at once, however its volume is
//! swapped (the kubelet renames a symbolic link, `..data`). Each line is a token: a pod's hook keeps the one that it was
//! made with, so that the old one must count beside the new until the last such pod is gone.

use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tracing::warn;

use crate::io::nonblocking::open_nonblocking;

/// The file is no longer than this, in bytes.
const LONGEST: u64 = 4096;

/// A file that holds the token, or several, and what it held last.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    tokens: Vec<Vec<u8>>,
    /// Whether the file has held none since.
    spoilt: bool,
}

impl TokenFile {
    /// Reads the token for the first time.
    ///
    /// # Errors
    /// Fails where the file cannot be read, or what it holds can be no token.
    pub fn open(path: &Path) -> io::Result<Self> {
        let last = Mutex::new(Last { tokens: read(path)?, spoilt: false });
        Ok(Self { path: path.to_owned(), last })
    }

    /// Whether one of these `Authorization` headers carries the token (RFC 6750, section 2.1).
    pub fn authorizes<'a>(&self, headers: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let mut presented = headers.into_iter().filter_map(bearer).peekable();
        if presented.peek().is_none() {
            return false;
        }
        let tokens = self.current();
        presented.any(|presented| tokens.iter().any(|token| is_same(presented, token)))
    }

    /// What the file holds now; what it held last where it holds nothing that could be a token.
    fn current(&self) -> Vec<Vec<u8>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Last { tokens, spoilt } = &mut *last;
        match read(&self.path) {
            Ok(now) => (*tokens, *spoilt) = (now, false),
            // Told once: strangers must not fill the log.
            Err(error) if !std::mem::replace(spoilt, true) => {
                let path = self.path.display();
                warn!(%path, %error, "--token-file cannot be read again; the token that it held last counts on");
            }
            Err(_) => {}
        }
        tokens.clone()
    }
}

/// Whether a caller from there is of our own host, and needs no token. IPv4 callers of an IPv6 socket are IPv4-mapped.
#[must_use]
pub fn is_loopback(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

fn read(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut text = Vec::new();
    open_nonblocking(path, OpenOptions::new().read(true))?.take(LONGEST + 1).read_to_end(&mut text)?;
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let tokens: Vec<Vec<u8>> = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
    if tokens.is_empty() {
        return Err(io::Error::other("it is empty"));
    }
    if text.len() as u64 > LONGEST || !tokens.iter().flatten().all(u8::is_ascii_graphic) {
        return Err(io::Error::other("its lines are no words of visible ASCII characters, 4096 in all"));
    }
    Ok(tokens)
}

/// What a header presents under the scheme `Bearer`, whose name is written in any case (RFC 9110, section 11.1).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, presented) = header.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| presented.trim_ascii())
}

/// Compares in a time that tells nothing of where the two differ.
fn is_same(presented: &[u8], token: &[u8]) -> bool {
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
    fn only_the_whole_token_is_the_token() {
        let file = TokenFile::open(&file("whole", b"s3cret-Token\n")).unwrap();
        for (header, is_it) in [
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
            assert_eq!(file.authorizes([header.as_bytes()]), is_it, "{header:?}");
        }
        assert!(!file.authorizes([]));
        assert!(file.authorizes([b"Basic eA==".as_slice(), b"Bearer s3cret-Token"]));
    }

    #[test]
    fn a_changed_file_counts_at_once() {
        let path = file("changed", b"one");
        let file = TokenFile::open(&path).unwrap();
        std::fs::write(&path, "two").unwrap();
        assert!(file.authorizes([b"Bearer two".as_slice()]));
        assert!(!file.authorizes([b"Bearer one".as_slice()]));
    }

    #[test]
    fn every_line_is_a_token_so_that_an_old_one_counts_beside_its_successor() {
        let file = TokenFile::open(&file("lines", b"new-one\r\n\nold-one\n")).unwrap();
        for (header, is_it) in [("Bearer new-one", true), ("Bearer old-one", true), ("Bearer new-oneold-one", false)] {
            assert_eq!(file.authorizes([header.as_bytes()]), is_it, "{header:?}");
        }
    }

    #[test]
    fn a_file_that_is_gone_or_spoilt_leaves_the_last_token() {
        let path = file("spoilt", b"one");
        let file = TokenFile::open(&path).unwrap();
        for spoilt in [&b""[..], b" \n", b"two words", b"\xff"] {
            std::fs::write(&path, spoilt).unwrap();
            assert!(file.authorizes([b"Bearer one".as_slice()]), "{spoilt:?}");
            assert!(!file.authorizes([b"Bearer ".as_slice()]), "{spoilt:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(file.authorizes([b"Bearer one".as_slice()]));
    }

    #[test]
    fn what_can_be_no_token_is_refused_at_start() {
        for spoilt in [&b""[..], b" \n", b"two words", b"\xff", b"a\0b", &[b'x'; 4097]] {
            assert!(TokenFile::open(&file("refused", spoilt)).is_err(), "{spoilt:?}");
        }
        assert!(TokenFile::open(&file("longest", &[b'x'; 4096])).is_ok());
        assert!(TokenFile::open(Path::new("/nonexistent")).is_err());
        assert!(TokenFile::open(Path::new("/")).is_err());
    }

    #[test]
    fn a_caller_of_our_own_host_comes_from_loopback_by_either_protocol() {
        for (peer, own) in [
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
            assert_eq!(is_loopback(peer.parse().unwrap()), own, "{peer}");
        }
    }
}
