//! What several test binaries, benchmarks and fuzz targets share. It is not published.
#![forbid(unsafe_code)]

pub mod check;
pub mod http;
pub mod machine;
pub mod manifests;
pub mod page;
pub mod port;
pub mod shell;
pub mod shipped;
pub mod sidecar;
pub mod sim;
pub mod terminal;
pub mod traffic;
