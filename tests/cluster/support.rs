//! Helpers of the scenarios.

pub(crate) mod chart;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod log;
pub(crate) mod manifest;
pub(crate) mod matrix;
pub(crate) mod namespace;
pub(crate) mod node;
pub(crate) mod pod;
pub(crate) mod records;
pub(crate) mod runner;
pub(crate) mod sidecar;
