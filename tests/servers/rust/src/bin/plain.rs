//! A TCP server with the standard library, without any handler.

use std::env;
use std::net::TcpListener;

fn main() {
    let port = env::var("PORT").expect("PORT is set");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    listener.incoming().for_each(drop);
}
