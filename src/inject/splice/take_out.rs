//! Edits that take something out.

use std::ops::Range;

use super::Splice;
use crate::readers::yaml::{Kind, Layout, Node};

impl Splice<'_> {
    /// Takes out the entries that are named by their index.
    pub fn remove_entries(&mut self, map: &Node, gone: &[usize]) {
        let entries = map.entries();
        let spans: Vec<_> = entries.iter().map(|entry| entry.key.span.start..entry.value.span.end).collect();
        match map.layout() {
            Some(Layout::Flow(_)) => self.remove_flow(&spans, gone),
            Some(Layout::Block) | None => gone.iter().for_each(|index| self.remove_lines(&spans, *index)),
        }
    }

    /// Takes an item out.
    pub fn remove_item(&mut self, list: &Node, index: usize) {
        let Kind::List { items, dashes, layout } = &list.kind else { return };
        match layout {
            Layout::Flow(_) => {
                let spans: Vec<_> = items.iter().map(|item| item.span.clone()).collect();
                self.remove_flow(&spans, &[index]);
            }
            Layout::Block => {
                let spans: Vec<_> = items.iter().zip(dashes).map(|(item, dash)| *dash..item.span.end).collect();
                self.remove_lines(&spans, index);
            }
        }
    }

    fn remove_flow(&mut self, spans: &[Range<usize>], gone: &[usize]) {
        let is_gone = |index: &usize| gone.contains(index);
        for &index in gone {
            let is_tail = (index + 1..spans.len()).all(|later| is_gone(&later));
            let is_after = !(0..index).all(|earlier| is_gone(&earlier));
            let place = match spans.get(index + 1) {
                _ if is_tail && is_after => spans[index - 1].end..spans[index].end,
                Some(next) => spans[index].start..next.start,
                None => spans[index].clone(),
            };
            self.edits.push((place, String::new()));
        }
    }

    fn remove_lines(&mut self, spans: &[Range<usize>], index: usize) {
        let span = &spans[index];
        let start = self.line_start(span.start);
        let own = self.text[start..span.start].bytes().all(|byte| byte == b' ');
        let place = match spans.get(index + 1) {
            Some(next) if !own => span.start..next.start,
            _ if self.text[..span.end].ends_with('\n') => start..span.end,
            _ => start..self.line_end(span.end),
        };
        // The line end that was put in front of it, where the text had none.
        let first = if self.text[place.clone()].ends_with('\n') || !own { place.start } else { self.eol_before(start) };
        self.edits.push((first..place.end, String::new()));
    }

    fn eol_before(&self, start: usize) -> usize {
        let before = &self.text[..start];
        before.strip_suffix("\r\n").or(before.strip_suffix('\n')).unwrap_or(before).len()
    }
}
