//! What the same reading costs elsewhere: a loop in Go that parses the page with expfmt, and a bare request as the floor.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use lameduck_test_support::shipped::{Result, target_dir, thread_cpu_time};

use crate::page_server::FAMILY;

/// How often a peer reads the page in one round, and the number of rounds.
const COUNT: u32 = 50;
const ROUNDS: usize = 5;

/// The CPU time of one reading by the loop in Go; `None` where Go is not installed.
pub(crate) fn go(url: &str) -> Result<Option<Duration>> {
    let program = target_dir()?.join("bench-poll-go");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/poll/go");
    let build = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(source).status();
    if !build.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let run = |_| {
        let mut command = Command::new(&program);
        let output = command.args([url, FAMILY, &COUNT.to_string()]).stderr(Stdio::inherit()).output()?;
        Ok(Duration::from_nanos(String::from_utf8(output.stdout)?.trim().parse()?))
    };
    Ok(Some(median(&mut (0..ROUNDS).map(run).collect::<Result<Vec<_>>>()?)))
}

/// The CPU time of one bare request: connect, send, read to the end.
pub(crate) fn bare_request(url: &str) -> Result<Duration> {
    let address = url.trim_start_matches("http://").trim_end_matches("/metrics");
    let mut buffer = vec![0; 64 * 1024];
    let mut times = Vec::new();
    for _ in 0..COUNT {
        let before = thread_cpu_time()?;
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        while stream.read(&mut buffer)? != 0 {}
        drop(stream);
        times.push(thread_cpu_time()?.saturating_sub(before));
        thread::sleep(Duration::from_millis(5));
    }
    Ok(median(&mut times))
}

/// The median of at least one time.
pub(crate) fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
