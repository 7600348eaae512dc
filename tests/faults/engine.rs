//! The engine: this executable once more, as a process of its own that serves streams and a page, and tells its truth.
//!
//! A stream is a connection. It ends by itself at the moment that its client names, with a last line that says when
//! that was; one that ends without that line was cut. On stdin the engine is told what to do; on stdout it tells each
//! signal and each faulty page.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::answers::Pages;
use crate::jitter::{now, sleep_until};
use crate::matrix::PageFault;

/// In this variable the engine finds where to listen, and whether it is deaf to the signal.
pub(crate) const ROLE: &str = "LAMEDUCK_TEST_ENGINE";

/// What all its threads know.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    pub(crate) streams: AtomicU64,
    draining: AtomicBool,
    ignoring: AtomicBool,
}

/// Is an engine until it is told to end.
pub(crate) fn run(role: &str) -> ! {
    let words: Vec<&str> = role.split(' ').collect();
    let [streams, page, deaf] = words[..] else { panic!("not a role: {role}") };
    let engine = Arc::new(Engine::default());
    hear_signals(&engine, deaf == "deaf");
    serve_streams(&engine, bind(streams.parse().expect("an address")));
    let pages = Pages::serve(&engine, page.parse().expect("an address"));
    println!("ready");
    for line in io::stdin().lines().map_while(Result::ok) {
        obey(&engine, &pages, &line);
    }
    exit(0)
}

fn obey(engine: &Engine, pages: &Pages, line: &str) {
    match line.split_once(' ') {
        Some(("page", word)) => pages.become_faulty(PageFault::from_word(word)),
        Some(("exit", code)) => exit(code.parse().expect("an exit code")),
        _ if line == "ignore" => engine.ignoring.store(true, Ordering::SeqCst),
        _ => panic!("not a command: {line}"),
    }
}

/// Takes this address as soon as it is free: another engine may have it still.
pub(crate) fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn hear_signals(engine: &Arc<Engine>, deaf: bool) {
    let wanted = if deaf { vec![SIGTERM] } else { vec![SIGINT, SIGTERM] };
    let mut signals = Signals::new(wanted).expect("handlers can be installed");
    let engine = Arc::clone(engine);
    thread::spawn(move || {
        for signal in signals.forever() {
            if signal == SIGTERM {
                exit(0);
            }
            println!("signalled");
            engine.draining.store(true, Ordering::SeqCst);
            engine.leave_if_done();
        }
    });
}

impl Engine {
    /// One that drains exits when its last stream has ended.
    fn leave_if_done(&self) {
        let told = self.draining.load(Ordering::SeqCst) && !self.ignoring.load(Ordering::SeqCst);
        if told && self.streams.load(Ordering::SeqCst) == 0 {
            exit(0);
        }
    }
}

fn serve_streams(engine: &Arc<Engine>, listener: TcpListener) {
    let engine = Arc::clone(engine);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            engine.streams.fetch_add(1, Ordering::SeqCst);
            let engine = Arc::clone(&engine);
            thread::spawn(move || serve(&engine, &stream));
        }
    });
}

fn serve(engine: &Engine, mut stream: &TcpStream) {
    let mut line = String::new();
    let read = BufReader::new(stream).read_line(&mut line);
    if let (Ok(_), Ok(until)) = (read, line.trim().parse()) {
        sleep_until(Duration::from_micros(until));
        let _ = writeln!(stream, "bye {}", now().as_micros());
    }
    engine.streams.fetch_sub(1, Ordering::SeqCst);
    engine.leave_if_done();
}
