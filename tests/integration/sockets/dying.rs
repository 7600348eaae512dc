//! A target that dies with connections open: the kernel closes them before it says that their process has ended.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use std::os::fd::OwnedFd;

use lameduck::io::liveness::{is_alive, stat_of};
use lameduck::queue::Event;
use lameduck::settings::sources::Sources;
use lameduck::supervisor::source_poller::{PollRequest, SourcePoller};
use lameduck_machine::activity::IdleRule;
use lameduck_machine::io::Input;
use lameduck_machine::policy::IdlePolicy;
use lameduck_machine::reading::Reading;
use lameduck_machine::target::Incarnation;
use lameduck_machine::time::Time;
use rustix::fs::inotify;
use tokio::sync::mpsc;

const CONNECTIONS: usize = 50;
const DEATHS: usize = 10;
/// So many watches of files the target holds before its connections, and as many after them: to let one go takes the
/// kernel milliseconds, as a GPU's memory would.
const WATCHES: usize = 10;
/// Tells a process of this program that it is the target.
const TARGET: &str = "LAMEDUCK_TEST_TARGET";
const OWN_NAME: &str = "sockets::dying::connections_that_close_because_their_process_dies_are_no_streams_that_ended";

#[test]
fn connections_that_close_because_their_process_dies_are_no_streams_that_ended() {
    if env::var_os(TARGET).is_some() {
        return hold_connections();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..DEATHS {
        let counts = runtime.block_on(counts_until_the_end());
        assert!(counts.iter().all(|count| *count == CONNECTIONS as u64), "{counts:?}");
    }
}

/// What the target does: it says where it listens, and keeps whoever comes.
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
    // Until it is killed, or whoever started it is gone.
    let _ = std::io::stdin().read(&mut [0]);
}

fn watch() -> OwnedFd {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, "/proc/self/exe", inotify::WatchFlags::ATTRIB).unwrap();
    watch
}

/// Every count that is told of a target, first alive with all of its connections, then killed, until it has ended.
async fn counts_until_the_end() -> Vec<u64> {
    let (mut child, address, _clients) = start();
    let target = Incarnation { pid: child.id(), started: stat_of(child.id()).unwrap().started };
    let rule = IdleRule { window: Duration::from_secs(60), rate: 256 };
    let idleness = IdlePolicy { ports: Vec::new(), rule, ends_drain: false };
    let ports = vec![address.port()];
    let sources = Sources { page: None, status: None, streams_ports: ports, idleness, accept_below: None };
    let (queue, mut answers) = mpsc::channel(16);
    let readers = SourcePoller::new(&sources, queue);
    let ask = || {
        let asked = Time::since_boot(Duration::from_secs(1));
        readers.ask(PollRequest { requested_at: asked, bound: Duration::from_secs(30), tracked: Some(target) });
    };

    ask();
    let mut counts = vec![next_count(&mut answers).await.expect("it lives")];
    child.kill().unwrap();
    while is_alive(target).unwrap() {
        ask();
        let told = tokio::time::timeout(Duration::from_millis(1), next_count(&mut answers)).await;
        counts.extend(told.ok().flatten());
    }
    child.wait().unwrap();
    // What was asked and not yet told.
    drop(readers);
    while let Some(count) = next_count(&mut answers).await {
        counts.push(count);
    }
    counts
}

async fn next_count(answers: &mut mpsc::Receiver<Event>) -> Option<u64> {
    loop {
        if let Event::Input(Input::Counted { reading, .. }) = answers.recv().await? {
            let Reading::Counts(counts) = reading else { panic!("{reading:?}") };
            return Some(counts.into_iter().flatten().map(|count| count.streams).sum());
        }
    }
}

/// The target with all of its connections.
fn start() -> (Child, SocketAddr, Vec<TcpStream>) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", OWN_NAME, "--nocapture"]).env(TARGET, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.starts_with("listening ")).expect("it says where it listens");
    let address: SocketAddr = line.strip_prefix("listening ").unwrap().parse().unwrap();
    // One after the other: a queue that is full would cost a second each time.
    let connect = |_| {
        let mut client = TcpStream::connect(address).unwrap();
        client.read_exact(&mut [0]).expect("it is accepted");
        client
    };
    let clients = (0..CONNECTIONS).map(connect).collect();
    assert!(lines.any(|line| line == "holding"), "it has all that it should hold");
    // Whatever else it says is read, and forgotten.
    thread::spawn(move || lines.for_each(drop));
    (child, address, clients)
}
