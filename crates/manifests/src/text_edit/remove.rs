//! Edits that remove entries and items.

use std::ops::Range;

use super::{TextEdits, WAS_EMPTY_MARK};
use crate::yaml::{Kind, Layout, Node};

impl TextEdits<'_> {
    /// Removes the entries at these indices, in ascending order.
    pub fn remove_entries(&mut self, map: &Node, removed: &[usize]) {
        let entries = map.entries();
        let spans: Vec<_> = entries.iter().map(|entry| entry.key.span.start..entry.value.span.end).collect();
        match map.layout() {
            Some(Layout::Flow(open)) => self.remove_flow(open, &spans, removed),
            Some(Layout::Block) | None => self.remove_lines(&spans, removed),
        }
    }

    /// Removes the item at an index.
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

    /// Whether brackets were empty before lameduck wrote the first entry in them.
    #[must_use]
    pub fn was_empty(&self, open: usize) -> bool {
        self.text[open..].starts_with(WAS_EMPTY_MARK)
    }

    fn remove_flow(&mut self, open: usize, spans: &[Range<usize>], removed: &[usize]) {
        let is_removed = |index: &usize| removed.contains(index);
        let was_empty = removed.len() == spans.len() && self.was_empty(open);
        for &index in removed {
            let ends_list = (index + 1..spans.len()).all(|later| is_removed(&later));
            let follows_kept = !(0..index).all(|earlier| is_removed(&earlier));
            let mark = if index == 0 && was_empty { WAS_EMPTY_MARK.len() } else { 0 };
            let range = match spans.get(index + 1) {
                _ if ends_list && follows_kept => spans[index - 1].end..spans[index].end,
                Some(next) => spans[index].start - mark..next.start,
                None => spans[index].start - mark..self.after_comma(spans[index].end),
            };
            self.edits.push((range, String::new()));
        }
    }

    /// The place after the comma that follows, if there is one: nothing else would be left in the brackets.
    fn after_comma(&self, end: usize) -> usize {
        let rest = self.text[end..].trim_start();
        if rest.starts_with(',') { self.text.len() - rest.len() + 1 } else { end }
    }

    fn remove_lines(&mut self, spans: &[Range<usize>], removed: &[usize]) {
        let mut from = 0;
        for &index in removed {
            // The first key of a list item is on the line of its dash; the next key that stays moves there.
            let next_kept = (index + 1..spans.len()).find(|later| !removed.contains(later));
            match next_kept.filter(|_| index >= from && !self.begins_line(spans[index].start)) {
                Some(kept) => {
                    self.edits.push((spans[index].start..spans[kept].start, String::new()));
                    from = kept;
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
        // If the text had no final newline, one was inserted in front.
        let start = if self.text[..end].ends_with('\n') { start } else { self.before_eol(start) };
        self.edits.push((start..end, String::new()));
    }

    fn before_eol(&self, start: usize) -> usize {
        let before = &self.text[..start];
        before.strip_suffix("\r\n").or(before.strip_suffix('\n')).unwrap_or(before).len()
    }
}
