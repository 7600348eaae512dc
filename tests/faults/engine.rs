//! The engine: this executable run again as a separate process, which serves streams and a metrics page and reports the
//! ground truth.
//!
//! A stream is a connection. It ends at the time that its client has set, with a last line that reports when it ended;
//! a stream that ends without that line was cut. The engine reads commands from stdin and prints a line for each signal
//! and each faulty page.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::jitter::{now, sleep_until};
use crate::matrix::PageFault;
use crate::page::MetricsPage;

/// Environment variable with the engine's arguments: the two addresses, and whether SIGINT stays ignored.
pub(crate) const ARGS: &str = "LAMEDUCK_TEST_ENGINE";

/// State shared by the engine's threads.
#[derive(Debug, Default)]
pub(crate) struct Engine {
    pub(crate) streams: AtomicU64,
    draining: AtomicBool,
    ignoring: AtomicBool,
}

/// Runs the engine until it gets the command to exit.
pub(crate) fn run(args: &str) -> ! {
    let words: Vec<&str> = args.split(' ').collect();
    let [streams, page, sigint] = words[..] else { panic!("invalid engine arguments: {args}") };
    let engine = Arc::new(Engine::default());
    handle_signals(&engine, sigint == "ignore");
    serve_streams(&engine, bind(streams.parse().expect("an address")));
    let page = MetricsPage::serve(&engine, page.parse().expect("an address"));
    println!("ready");
    for line in io::stdin().lines().map_while(Result::ok) {
        execute(&engine, &page, &line);
    }
    exit(0)
}

fn execute(engine: &Engine, page: &MetricsPage, command: &str) {
    match command.split_once(' ') {
        Some(("page", fault)) => page.set_fault(PageFault::from_name(fault)),
        Some(("exit", code)) => exit(code.parse().expect("an exit code")),
        _ if command == "ignore" => engine.ignoring.store(true, Ordering::SeqCst),
        _ => panic!("unknown command: {command}"),
    }
}

/// Binds the address as soon as it is free: the previous engine may still hold it.
pub(crate) fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn handle_signals(engine: &Arc<Engine>, ignores_sigint: bool) {
    let handled = if ignores_sigint { vec![SIGTERM] } else { vec![SIGINT, SIGTERM] };
    let mut signals = Signals::new(handled).expect("handlers can be installed");
    let engine = Arc::clone(engine);
    thread::spawn(move || {
        for signal in signals.forever() {
            if signal == SIGTERM {
                exit(0);
            }
            println!("signalled");
            engine.draining.store(true, Ordering::SeqCst);
            engine.exit_if_drained();
        }
    });
}

impl Engine {
    /// Exits if the engine is draining and its last stream has ended.
    fn exit_if_drained(&self) {
        let draining = self.draining.load(Ordering::SeqCst) && !self.ignoring.load(Ordering::SeqCst);
        if draining && self.streams.load(Ordering::SeqCst) == 0 {
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
    engine.exit_if_drained();
}
