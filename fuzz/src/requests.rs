//! Whether bytes may contain a request for the hook.

/// Returns whether the bytes may contain a hook call: `GET`, a target whose path is `/prestop`, and HTTP, at the start or
/// after the end of another request.
#[must_use]
pub fn may_call_hook(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| may_start_request(&bytes[..at]) && is_hook_call(&bytes[at..]))
}

/// Returns whether a request head has ended before, or only empty lines were sent.
fn may_start_request(before: &[u8]) -> bool {
    let is_empty = before.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
    is_empty || before.windows(2).any(|pair| pair == b"\n\n") || before.windows(4).any(|end| end == b"\r\n\r\n") || {
        // Line ends may be mixed.
        before.windows(3).any(|end| end == b"\n\r\n")
    }
}

fn is_hook_call(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"GET ") else { return false };
    let Some(end) = rest.iter().position(|byte| *byte == b' ') else { return false };
    path(&rest[..end]) == b"/prestop" && rest[end..].starts_with(b" HTTP/1.")
}

/// Returns the path of a request target; in an absolute target it follows scheme and host.
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
