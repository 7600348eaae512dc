//! How all streams ended.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::stream::StreamEnd;

#[derive(Debug, Default)]
pub(crate) struct Totals {
    clean: u64,
    cut: u64,
    refused: u64,
    /// How often each cause cut or refused a stream.
    causes: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Summary<'a> {
    attempted: u64,
    opened: u64,
    refused: u64,
    cut: u64,
    clean: u64,
    causes: &'a BTreeMap<String, u64>,
}

impl Totals {
    pub(crate) fn count(&mut self, end: &StreamEnd) {
        let cause = match end {
            StreamEnd::Clean { .. } => {
                self.clean += 1;
                return;
            }
            StreamEnd::Cut { cause } => {
                self.cut += 1;
                cause
            }
            StreamEnd::Refused { cause } => {
                self.refused += 1;
                cause
            }
        };
        *self.causes.entry(cause.clone()).or_default() += 1;
    }

    pub(crate) fn all_clean(&self) -> bool {
        self.cut + self.refused == 0
    }

    /// A sentence.
    pub(crate) fn summary(&self) -> String {
        let Self { clean, cut, refused, .. } = self;
        format!("{} streams: {clean} clean, {cut} cut, {refused} refused", clean + cut + refused)
    }

    /// One line of JSON.
    pub(crate) fn json(&self) -> String {
        let Self { clean, cut, refused, causes } = self;
        let opened = clean + cut;
        let summary =
            Summary { attempted: opened + refused, opened, refused: *refused, cut: *cut, clean: *clean, causes };
        serde_json::to_string(&summary).unwrap_or_default()
    }
}
