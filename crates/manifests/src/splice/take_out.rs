//! Edits that take something out.

use std::ops::Range;

use super::{FILLED, Splice};
use crate::yaml::{Kind, Layout, Node};

impl Splice<'_> {
    /// Takes out the entries that are named by their index.
    pub fn remove_entries(&mut self, map: &Node, gone: &[usize]) {
        let entries = map.entries();
        let spans: Vec<_> = entries.iter().map(|entry| entry.key.span.start..entry.value.span.end).collect();
        match map.layout() {
            Some(Layout::Flow(open)) => self.remove_flow(open, &spans, gone),
            Some(Layout::Block) | None => self.remove_lines(&spans, gone),
        }
    }

    /// Takes an item out.
    pub fn remove_item(&mut self, list: &Node, index: usize) {
        let Kind::List { items, dashes, layout } = &list.kind else { return };
        match layout {
            Layout::Flow(open) => {
                let spans: Vec<_> = items.iter().map(|item| item.span.clone()).collect();
                self.remove_flow(*open, &spans, &[index]);
            }
            Layout::Block => {
                let spans: Vec<_> = items.iter().zip(dashes).map(|(item, dash)| *dash..item.span.end).collect();
                self.remove_lines(&spans, &[index]);
            }
        }
    }

    /// Whether brackets stood there empty before the first thing in them was written.
    #[must_use]
    pub fn was_empty(&self, open: usize) -> bool {
        self.text[open..].starts_with(FILLED)
    }

    fn remove_flow(&mut self, open: usize, spans: &[Range<usize>], gone: &[usize]) {
        let is_gone = |index: &usize| gone.contains(index);
        for &index in gone {
            let is_tail = (index + 1..spans.len()).all(|later| is_gone(&later));
            let is_after = !(0..index).all(|earlier| is_gone(&earlier));
            let blank = if gone.len() == spans.len() && index == 0 && self.was_empty(open) { FILLED.len() } else { 0 };
            let place = match spans.get(index + 1) {
                _ if is_tail && is_after => spans[index - 1].end..spans[index].end,
                Some(next) => spans[index].start - blank..next.start,
                None => spans[index].start - blank..self.behind_comma(spans[index].end),
            };
            self.edits.push((place, String::new()));
        }
    }

    /// Behind the comma that follows a place, if one does: it would be the only thing left.
    fn behind_comma(&self, end: usize) -> usize {
        let rest = &self.text[end..];
        let after = rest.trim_start();
        if after.starts_with(',') { self.text.len() - after.len() + 1 } else { end }
    }

    fn remove_lines(&mut self, spans: &[Range<usize>], gone: &[usize]) {
        let mut from = 0;
        for &index in gone {
            // The first key of an item stands on the line of its dash, and what stays takes its place.
            let stays = (index + 1..spans.len()).find(|later| !gone.contains(later));
            match stays.filter(|_| index >= from && !self.begins_line(spans[index].start)) {
                Some(stays) => {
                    self.edits.push((spans[index].start..spans[stays].start, String::new()));
                    from = stays;
                }
                None if index >= from => self.remove_line(&spans[index]),
                None => {}
            }
        }
    }

    fn begins_line(&self, at: usize) -> bool {
        self.text[self.line_start(at)..at].bytes().all(|byte| byte == b' ')
    }

    fn remove_line(&mut self, span: &Range<usize>) {
        let start = self.line_start(span.start);
        let end = if self.text[..span.end].ends_with('\n') { span.end } else { self.line_end(span.end) };
        // Where the text had no last line end, one was put in front.
        let start = if self.text[..end].ends_with('\n') { start } else { self.eol_before(start) };
        self.edits.push((start..end, String::new()));
    }

    fn eol_before(&self, start: usize) -> usize {
        let before = &self.text[..start];
        before.strip_suffix("\r\n").or(before.strip_suffix('\n')).unwrap_or(before).len()
    }
}
