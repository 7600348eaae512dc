//! A target that exits with open connections: the kernel closes them before it reports the exit.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use std::os::fd::OwnedFd;

use lameduck::io::clock::Clock;
use lameduck::io::liveness::{is_alive, stat_of};
use lameduck::io::process::signalling::SignalRules;
use lameduck::queue::{Event, PollResult};
use lameduck::settings::sources::Sources;
use lameduck::supervisor::source_poller::SourcePoller;
use lameduck_machine::activity::{IdleRule, WorkDirection};
use lameduck_machine::io::PollRequest;
use lameduck_machine::policy::{IdlePolicy, StreamsPorts};
use lameduck_machine::reading::Reading;
use lameduck_machine::target::{Incarnation, TargetState};
use rustix::fs::inotify;
use tokio::sync::mpsc;

const CONNECTIONS: usize = 50;
const EXITS: usize = 10;
/// How many inotify watches the target opens before its connections, and again after them. Closing one takes the kernel
/// milliseconds, as releasing a GPU's memory would.
const WATCHES: usize = 10;
/// Set in the process of this program that acts as the target.
const TARGET: &str = "LAMEDUCK_TEST_TARGET";
const OWN_NAME: &str = "sockets::exiting::connections_closed_by_target_exit_are_not_ended_streams";

#[test]
fn connections_closed_by_target_exit_are_not_ended_streams() {
    if env::var_os(TARGET).is_some() {
        return hold_connections();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..EXITS {
        let counts = runtime.block_on(counts_until_exit());
        assert!(counts.iter().all(|count| *count == CONNECTIONS as u64), "{counts:?}");
    }
}

/// The target: prints its address, and keeps all connections open.
fn hold_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("listening {}", listener.local_addr().unwrap());
    let accept = |_| {
        let mut connection = listener.accept().unwrap().0;
        connection.write_all(&[0]).unwrap();
        connection
    };
    let watches = || (0..WATCHES).map(|_| watch()).collect::<Vec<OwnedFd>>();
    let _first = watches();
    let _held: Vec<TcpStream> = (0..CONNECTIONS).map(accept).collect();
    let _last = watches();
    println!("holding");
    // Until it is killed, or its parent has ended.
    let _ = std::io::stdin().read(&mut [0]);
}

fn watch() -> OwnedFd {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, "/proc/self/exe", inotify::WatchFlags::ATTRIB).unwrap();
    watch
}

/// All counts of a target, from when it has all of its connections, through its kill, to its end.
async fn counts_until_exit() -> Vec<u64> {
    let (mut child, address, _clients) = start();
    let target = Incarnation { pid: child.id(), started: stat_of(child.id()).unwrap().started };
    let rule = IdleRule { window: Duration::from_secs(60), rate: 256, direction: WorkDirection::Received };
    let idle = IdlePolicy { ports: Vec::new(), rule, ends_drain: false };
    let ports = vec![address.port()];
    let sources = Sources {
        page: None,
        status: None,
        streams_ports: StreamsPorts { ports, gauge_leak_after: None },
        idle,
        accept_below: None,
    };
    let (queue, mut events) = mpsc::channel(16);
    let clock = Clock::start();
    let poller = SourcePoller::new(&sources, SignalRules { signal: None, assume_caught: false }, clock, queue);
    let poll = || {
        let (requested_at, timeout) = (clock.now(), Duration::from_secs(30));
        poller.poll(PollRequest { requested_at, timeout, target: Some(target), keep_connection: true });
    };

    poll();
    let mut counts = vec![next_count(&mut events).await.expect("the target is alive")];
    child.kill().unwrap();
    while is_alive(target).unwrap() {
        poll();
        let count = tokio::time::timeout(Duration::from_millis(1), next_count(&mut events)).await;
        counts.extend(count.ok().flatten());
    }
    child.wait().unwrap();
    // Polls that are still running.
    drop(poller);
    while let Some(count) = next_count(&mut events).await {
        counts.push(count);
    }
    counts
}

/// The next count of a target that was still intact when it had been read; `None` when no poll is left.
async fn next_count(events: &mut mpsc::Receiver<Event>) -> Option<u64> {
    loop {
        let poll = match events.recv().await? {
            Event::Polled(PollResult { poll, .. }) => poll,
            Event::Instead(_) => continue,
            event @ (Event::Input(_) | Event::Request(_) | Event::Stop(_)) => panic!("{event:?}"),
        };
        if poll.target_state != TargetState::Exiting {
            let [(_, Reading::Counts(counts))] = &poll.readings[..] else { panic!("{poll:?}") };
            return Some(counts.iter().flatten().map(|count| count.streams).sum());
        }
    }
}

/// Starts the target, and opens all of its connections.
fn start() -> (Child, SocketAddr, Vec<TcpStream>) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", OWN_NAME, "--nocapture"]).env(TARGET, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.starts_with("listening ")).expect("the target prints its address");
    let address: SocketAddr = line.strip_prefix("listening ").unwrap().parse().unwrap();
    // One after the other: a full accept queue would cost a second each time.
    let connect = |_| {
        let mut client = TcpStream::connect(address).unwrap();
        client.read_exact(&mut [0]).expect("the connection is accepted");
        client
    };
    let clients = (0..CONNECTIONS).map(connect).collect();
    assert!(lines.any(|line| line == "holding"), "the target has all of its connections");
    // Discards the rest of its output.
    thread::spawn(move || lines.for_each(drop));
    (child, address, clients)
}
