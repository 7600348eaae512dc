//! What the fuzz targets hold lameduck against: second ways to the same answer, written for plainness and not for speed.
#![forbid(unsafe_code)]

pub mod answers;
pub mod line;
pub mod page;
pub mod requests;
pub mod second;
pub mod selector;
