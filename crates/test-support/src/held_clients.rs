//! Client sockets that another process holds: one process may not have enough descriptors for both ends.

use std::env;
use std::io::{Read, Write, stdin, stdout};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use crate::shipped::{Process, Result};

/// The argument that makes a benchmark call [`hold`]. The port and the number of sockets follow.
pub const ROLE: &str = "--clients";

/// A process that holds client sockets, and ends with its handle.
pub struct HeldClients {
    _process: Process,
}

impl HeldClients {
    /// Runs this program again to connect to the listener, and adds the accepted ends of the connections.
    pub fn connect(listener: &TcpListener, count: usize, accepted: &mut Vec<TcpStream>) -> Result<Self> {
        let arguments = [ROLE, &listener.local_addr()?.port().to_string(), &count.to_string()];
        let mut command = Command::new(env::current_exe()?);
        let mut process = Process(command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        for _ in 0..count {
            accepted.push(listener.accept().map_err(|error| format!("{error}; is `ulimit -Hn` above 10100?"))?.0);
        }
        process.0.stdout.take().ok_or("no stdout")?.read_exact(&mut [0])?;
        Ok(Self { _process: process })
    }
}

/// Connects to many addresses, so that ports do not run out, and holds the sockets until the parent has ended.
pub fn hold(port: u16, count: u32) -> Result<()> {
    let base = u32::from(Ipv4Addr::new(127, 77, 0, 1));
    let connect = |index: u32| TcpStream::connect((Ipv4Addr::from(base + index % 100), port));
    let held: Vec<TcpStream> = (0..count).map(connect).collect::<std::io::Result<_>>()?;
    stdout().write_all(b".\n")?;
    stdin().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}
