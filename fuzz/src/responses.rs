//! Splits what an HTTP server sent into responses.

/// One HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub closes: bool,
    pub body: Vec<u8>,
}

/// Parses all responses; `None` if some bytes are not part of a response.
///
/// Only a response to `HEAD` may lack the body that its `Content-Length` announces. No body of lameduck looks like a response.
#[must_use]
pub fn parse(mut bytes: &[u8], head: bool) -> Option<Vec<Response>> {
    let mut responses = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let mut lines = str::from_utf8(&bytes[..end]).ok()?.trim_end().split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.")?.strip_prefix(['0', '1'])?;
        let status: u16 = status.strip_prefix(' ')?.get(..3)?.parse().ok()?;
        let (mut length, mut closes) = (0, false);
        for line in lines {
            let (name, value) = line.split_once(": ")?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "connection" => closes = value.eq_ignore_ascii_case("close"),
                "transfer-encoding" => return None,
                _ => {}
            }
        }
        bytes = &bytes[end..];
        let has_no_body = head && (bytes.is_empty() || bytes.starts_with(b"HTTP/1."));
        let (body, rest) = bytes.split_at_checked(if has_no_body { 0 } else { length })?;
        responses.push(Response { status, closes, body: body.to_vec() });
        bytes = rest;
    }
    Some(responses)
}
