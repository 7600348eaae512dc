use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use lameduck_test_support::skip::skip;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

/// A process that is killed on drop.
struct Killed(Child);

impl Killed {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn finder(wanted: Matcher) -> TargetFinder {
    let rules = SignalRules { signal: None, assume_caught: false };
    TargetFinder { matcher: Some(wanted), rules, scope: SearchScope::All }
}

fn found(result: &SearchResult) -> Option<Incarnation> {
    match result {
        SearchResult::Found(found) => Some(found.incarnation),
        SearchResult::NotFound | SearchResult::Ambiguous(_) => None,
    }
}

#[test]
fn second_match_by_exec_is_found_beside_tracked_target() {
    let name = format!("second-{}", std::process::id());
    let target = Killed::start(Command::new("sleep").arg("600").arg0(&name));
    let script = r#"read -r _; exec -a "$0" sleep 600"#;
    let mut other =
        Killed::start(Command::new("bash").args(["-c", script, &name]).arg0("before").stdin(Stdio::piped()));
    let (finder, mut earlier) = (finder(Matcher::Name(name.clone())), Earlier::default());
    let tracked = loop {
        if let Some(tracked) = found(&finder.find(None, &mut earlier)) {
            break tracked;
        }
    };
    assert_eq!(found(&finder.find(Some(tracked), &mut earlier)).map(|target| target.pid), Some(target.pid()));
    other.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    while name_of(other.pid()).as_ref() != Some(&name) {
        std::thread::yield_now();
    }
    let mut both = vec![target.pid(), other.pid()];
    both.sort_unstable();
    for _ in 0..3 {
        assert_eq!(finder.find(Some(tracked), &mut earlier), SearchResult::Ambiguous(both.clone()));
    }
    drop(other);
    assert_eq!(found(&finder.find(Some(tracked), &mut earlier)), Some(tracked));
}

/// A process that listens on a port, which others may share; `None` without Perl. With the port 0, the kernel chooses it.
fn listener(port: u16) -> Option<(Killed, u16)> {
    const SCRIPT: &str = r#"
        $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], Listen => 1, ReusePort => 1) or die;
        $| = 1; print $s->sockport, "\n"; <STDIN>; close $s; print "closed\n"; sleep 600;
    "#;
    let mut command = Command::new("perl");
    command.args(["-MIO::Socket::INET", "-e", SCRIPT, &port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Killed(command.spawn().ok()?);
    let port = line_of(&mut process)?.trim().parse().ok()?;
    Some((process, port))
}

fn line_of(process: &mut Killed) -> Option<String> {
    let mut line = String::new();
    BufReader::with_capacity(1, process.0.stdout.as_mut()?).read_line(&mut line).ok()?;
    Some(line)
}

#[test]
fn second_listener_is_found_beside_tracked_target() {
    let Some((mut target, port)) = listener(0) else { return skip("no Perl with IO::Socket::INET") };
    let (finder, mut earlier) = (finder(Matcher::Port(port)), Earlier::default());
    let tracked = found(&finder.find(None, &mut earlier)).unwrap();
    assert_eq!(tracked.pid, target.pid());
    assert_eq!(found(&finder.find(Some(tracked), &mut earlier)), Some(tracked));
    let (other, _) = listener(port).unwrap();
    let mut both = vec![target.pid(), other.pid()];
    both.sort_unstable();
    for _ in 0..3 {
        assert_eq!(finder.find(Some(tracked), &mut earlier), SearchResult::Ambiguous(both.clone()));
    }
    drop(other);
    // The target closes its port, and is still the target.
    target.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    assert_eq!(line_of(&mut target).unwrap(), "closed\n");
    assert_eq!(found(&finder.find(Some(tracked), &mut earlier)), Some(tracked));
}

#[test]
fn second_process_with_the_same_listener_is_found_beside_tracked_target() {
    // The second process is started by a child that has ended, so it is not below the target.
    const SCRIPT: &str = r#"
        $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1) or die;
        $| = 1; print $s->sockport, "\n"; <STDIN>;
        unless (fork) { $p = fork; if ($p) { print "$p\n"; exit } sleep 600; exit }
        wait; print "its parent has ended\n"; sleep 600;
    "#;
    let mut command = Command::new("perl");
    command.args(["-MIO::Socket::INET", "-e", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut target) = command.spawn().map(Killed) else { return skip("no perl") };
    let Some(port) = line_of(&mut target).and_then(|line| line.trim().parse().ok()) else {
        return skip("no Perl with IO::Socket::INET");
    };
    let (finder, mut earlier) = (finder(Matcher::Port(port)), Earlier::default());
    let tracked = found(&finder.find(None, &mut earlier)).unwrap();
    for _ in 0..3 {
        assert_eq!(found(&finder.find(Some(tracked), &mut earlier)), Some(tracked));
    }
    target.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let other: u32 = line_of(&mut target).unwrap().trim().parse().unwrap();
    assert_eq!(line_of(&mut target).unwrap(), "its parent has ended\n");
    let mut both = vec![target.pid(), other];
    both.sort_unstable();
    let result = finder.find(Some(tracked), &mut earlier);
    kill(Pid::from_raw(other.cast_signed()), Signal::SIGKILL).unwrap();
    assert_eq!(result, SearchResult::Ambiguous(both));
}
