//! lameduck lets a pod with long-lived streams leave without cutting anybody off.
//!
//! The parts, from the inside out: [`lameduck_machine`] decides and touches nothing; [`lameduck_parsers`] understand what the world says;
//! [`io`] each do one kind of I/O; [`supervisor`] is the event loop between them, fed by the one [`queue`];
//! [`settings`] and [`commands`] are what users see. [`lameduck_manifests`] writes the sidecar into manifests.
#![forbid(unsafe_code)]

pub mod commands;
pub mod io;
pub mod queue;
pub mod reasons;
pub mod settings;
pub mod supervisor;
