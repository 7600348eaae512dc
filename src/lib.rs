//! lameduck lets a pod with long-lived streams leave without cutting anybody off.
//!
//! The parts, from the inside out: [`machine`] decides and touches nothing; [`readers`] understand what the world says;
//! [`edges`] each do one kind of I/O; [`supervisor`] is the event loop between them, fed by the one [`queue`];
//! [`settings`] and [`commands`] are what users see. [`inject`] writes the sidecar into manifests.
#![forbid(unsafe_code)]

pub mod commands;
pub mod edges;
pub mod inject;
pub mod machine;
pub mod queue;
pub mod readers;
pub mod settings;
pub mod supervisor;
