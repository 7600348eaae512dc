//! Reference implementations that the fuzz targets compare lameduck with. They are written for clarity, not for speed.
#![forbid(unsafe_code)]

pub mod line;
pub mod page;
pub mod prometheus;
pub mod requests;
pub mod responses;
pub mod selector;
