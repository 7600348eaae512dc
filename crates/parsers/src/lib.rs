//! Pure parsers of outside input: metrics pages, selectors, `/proc` and the kernel's socket tables. No I/O, no clock.

#![forbid(unsafe_code)]

mod cursor;
pub mod exposition;
pub mod proc_net_tcp;
pub mod procfs;
pub mod selector;
pub mod sockdiag;
mod tcp;
