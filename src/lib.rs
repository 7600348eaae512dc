//! lameduck shuts down a pod with long-lived streams without cutting them off.
//!
//! From the inside out: [`lameduck_machine`] decides and does no I/O. [`lameduck_parsers`] parse pages, selectors and
//! kernel formats. The modules in [`io`] each do one kind of I/O. [`supervisor`] is the event loop between them, fed by
//! the one [`queue`]. [`cli`], [`settings`] and [`commands`] are the command line. [`lameduck_manifests`] adds the sidecar
//! to manifests.
#![forbid(unsafe_code)]

pub mod cli;
pub mod commands;
pub mod io;
pub mod queue;
pub mod reasons;
pub mod sanitize;
pub mod settings;
pub mod suggest;
pub mod supervisor;
