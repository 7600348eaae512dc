//! The thin edges: each does one kind of I/O, knows the machine's plain types, and knows no other edge.

pub mod clock;
pub mod descriptors;
pub mod hook;
pub mod http;
pub mod life;
pub mod log;
pub mod metrics;
pub mod open;
pub mod own;
pub mod page;
pub mod process;
pub mod report;
pub mod signals;
pub mod sockets;
pub mod state;
pub mod status;
pub mod termination;
pub mod turn;
pub mod watch;
