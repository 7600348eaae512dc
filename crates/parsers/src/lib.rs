//! Pure readers of what the outside world says: no I/O, no clock.

#![forbid(unsafe_code)]

mod cursor;
pub mod exposition;
pub mod proc_net_tcp;
pub mod procfs;
pub mod selector;
pub mod sockdiag;
mod tcp;
