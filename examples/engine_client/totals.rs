//! What became of all streams.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::stream::Ending;

#[derive(Debug, Default)]
pub(crate) struct Totals {
    clean: u64,
    cut: u64,
    refused: u64,
    /// How often each cause cut or refused a stream.
    causes: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Sums<'a> {
    attempted: u64,
    opened: u64,
    refused: u64,
    cut: u64,
    clean: u64,
    causes: &'a BTreeMap<String, u64>,
}

impl Totals {
    pub(crate) fn count(&mut self, ending: &Ending) {
        let why = match ending {
            Ending::Clean { .. } => {
                self.clean += 1;
                return;
            }
            Ending::Cut { why } => {
                self.cut += 1;
                why
            }
            Ending::Refused { why } => {
                self.refused += 1;
                why
            }
        };
        *self.causes.entry(why.clone()).or_default() += 1;
    }

    pub(crate) fn all_clean(&self) -> bool {
        self.cut + self.refused == 0
    }

    /// For people.
    pub(crate) fn sentence(&self) -> String {
        let Self { clean, cut, refused, .. } = self;
        format!("{} streams: {clean} clean, {cut} cut, {refused} refused", clean + cut + refused)
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        let Self { clean, cut, refused, causes } = self;
        let opened = clean + cut;
        let sums = Sums { attempted: opened + refused, opened, refused: *refused, cut: *cut, clean: *clean, causes };
        serde_json::to_string(&sums).unwrap_or_default()
    }
}
