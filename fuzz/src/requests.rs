//! What could be a request for the hook in a string of bytes.

/// Whether a hook could be asked for: `GET`, a target whose path is `/prestop`, and HTTP, at the beginning or behind
/// the end of some other request.
#[must_use]
pub fn asks_for_hook(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| may_begin(&bytes[..at]) && is_hook(&bytes[at..]))
}

/// Whether some head has come to its end before, or nothing has come but empty lines.
fn may_begin(before: &[u8]) -> bool {
    let is_empty = before.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
    is_empty || before.windows(2).any(|pair| pair == b"\n\n") || before.windows(4).any(|end| end == b"\r\n\r\n") || {
        // Line ends may be mixed.
        before.windows(3).any(|end| end == b"\n\r\n")
    }
}

fn is_hook(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"GET ") else { return false };
    let Some(end) = rest.iter().position(|byte| *byte == b' ') else { return false };
    path(&rest[..end]) == b"/prestop" && rest[end..].starts_with(b" HTTP/1.")
}

/// The path of a request's target: of an absolute one it is what follows scheme and host.
fn path(target: &[u8]) -> &[u8] {
    let path = match target.windows(3).position(|part| part == b"://") {
        Some(scheme) if target[0] != b'/' => {
            let rest = &target[scheme + 3..];
            &rest[rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len())..]
        }
        _ => target,
    };
    path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default()
}
