//! A TCP server with tokio. The argument says whether it handles SIGINT.

use std::env;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() {
    let port = env::var("PORT").expect("PORT is set");
    if env::args().nth(1).as_deref() == Some("exit-0") {
        let mut interrupt = signal(SignalKind::interrupt()).expect("the handler can be installed");
        tokio::spawn(async move {
            interrupt.recv().await;
            std::process::exit(0);
        });
    }
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await.expect("the port is free");
    while let Ok((stream, _)) = listener.accept().await {
        drop(stream);
    }
}
