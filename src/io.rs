//! The thin edges: each does one kind of I/O, knows the machine's plain types, and knows no other edge.

pub mod api_status;
pub mod clock;
pub mod descriptors;
pub mod drain_lock;
pub mod hook;
pub mod http;
pub mod liveness;
pub mod log;
pub mod metrics;
pub mod nonblocking;
pub mod page;
pub mod private_file;
pub mod process;
pub mod report;
pub mod rounding;
pub mod signals;
pub mod sockets;
pub mod state;
pub mod termination;
pub mod watch;
