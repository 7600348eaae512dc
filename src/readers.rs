//! Pure readers of what the outside world says: no I/O, no clock.

mod cursor;
pub mod exposition;
pub mod procfs;
pub mod proctcp;
pub mod selector;
pub mod sockdiag;
mod tcp;
pub mod yaml;
