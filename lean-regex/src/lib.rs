//! `regex-lite` in the place of `regex`.
//!
//! prometheus-parse wants `regex` with all of its Unicode tables, a megabyte of them, for three patterns of `\w` and
//! `\s`. It is asked for advice only (which gauges a page has), and metric names are ASCII.
#![forbid(unsafe_code)]

pub use regex_lite::*;
