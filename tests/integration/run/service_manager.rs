//! What `lameduck run` tells a service manager such as systemd.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;

use nix::sys::signal::Signal;

use super::{Fixture, SCRIPT};
use lameduck_test_support::http::TIMEOUT;
use lameduck_test_support::process::{KillOnDrop, stopwatch};
use lameduck_test_support::run::Run;

/// The service manager's end of the messages.
struct Manager {
    socket: UnixDatagram,
    /// The lines that were read so far.
    lines: Vec<String>,
    unread: VecDeque<String>,
}

impl Manager {
    /// Starts a script with this manager, and waits until it has printed `ready`.
    fn start(fixture: &Fixture, args: &[&str]) -> (Self, Run) {
        let path = fixture.env.dir.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut command = fixture.env.run_command();
        command.env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", "400000");
        let mut run = fixture.env.spawn_run({
            command.args(args).args(["--", "sh", "-c", SCRIPT]);
            command
        });
        run.program.wait_for("ready");
        (Self { socket, lines: Vec::new(), unread: VecDeque::new() }, run)
    }

    /// Waits for a line that begins with this, after the last one that was waited for.
    fn wait_for(&mut self, start: &str) -> String {
        let waited = stopwatch();
        loop {
            while let Some(line) = self.unread.pop_front() {
                self.lines.push(line.clone());
                if line.starts_with(start) {
                    return line;
                }
            }
            assert!(waited() < TIMEOUT, "no {start} after {:?}", self.lines);
            let mut bytes = [0; 4096];
            let length = match self.socket.recv(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result.unwrap_or_else(|_| panic!("no {start} after {:?}", self.lines)),
            };
            self.unread.extend(String::from_utf8_lossy(&bytes[..length]).lines().map(str::to_owned));
        }
    }

    /// How often a line was sent so far.
    fn count(&self, line: &str) -> usize {
        self.lines.iter().filter(|sent| *sent == line).count()
    }
}

#[test]
fn message_that_could_not_be_sent_is_sent_later() {
    let fixture = Fixture::with_streams(0);
    let path = fixture.env.dir.join("notify");
    let mut command = fixture.env.run_command();
    command.env("NOTIFY_SOCKET", &path).args(TIMES).args(["--", "sh", "-c", SCRIPT]);
    let mut run = fixture.env.spawn_run(command);
    run.program.wait_for("ready");
    run.wait_for_ready();
    run.wait_for_log("cannot send messages to the service manager");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    Manager { socket, lines: Vec::new(), unread: VecDeque::new() }.wait_for("READY=1");
}

const TIMES: [&str; 6] = ["--grace-period", "20m", "--lame-duck", "100ms", "--quiet-period", "200ms"];

#[test]
fn stop_is_announced_and_extends_the_stop_timeout() {
    let fixture = Fixture::with_streams(3);
    let (mut manager, mut run) = Manager::start(&fixture, &TIMES);
    manager.wait_for("READY=1");
    assert_eq!(manager.count("STOPPING=1"), 0);
    run.signal(Signal::SIGTERM);
    manager.wait_for("STOPPING=1");
    manager.wait_for("EXTEND_TIMEOUT_USEC=30000000");
    run.program.wait_for("INT");
    manager.wait_for("STATUS=draining, 3 streams, 19 min left");
    fixture.page.set_streams(2);
    manager.wait_for("STATUS=draining, 2 streams, 19 min left");
    manager.wait_for("WATCHDOG=1");
    fixture.page.set_streams(0);
    assert_eq!(run.exit_code(), Some(7));
    assert_eq!((manager.count("READY=1"), manager.count("STOPPING=1")), (1, 1));
}

#[test]
fn drain_of_a_person_changes_only_the_status() {
    let fixture = Fixture::with_streams(1);
    let (mut manager, run) = Manager::start(&fixture, &TIMES);
    manager.wait_for("READY=1");
    let _drain = KillOnDrop(fixture.env.client_command(&["drain"]).spawn().unwrap());
    manager.wait_for("STATUS=draining, 1 stream, 19 min left");
    // Messages of a stop would have been sent before these.
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1");
    }
    assert!(!manager.lines.iter().any(|line| line.starts_with("STOPPING") || line.starts_with("EXTEND")));
    drop(run);
}
