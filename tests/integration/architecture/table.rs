//! The table of ARCHITECTURE.md: the parts, their modules, and what each may import.

use std::collections::BTreeSet;

use super::brackets::split_outside;
use super::imports::{ancestors, expand};

/// A row of the table.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    /// Each with all modules below it.
    pub(super) modules: Vec<String>,
    /// Whether the modules may not import one another.
    are_separate: bool,
    /// The other modules that it may import.
    may_import: Vec<String>,
}

impl Part {
    /// The module of this part that the path leads into.
    pub(super) fn module_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        ancestors(path).find(|path| self.modules.iter().any(|module| module == path))
    }

    /// Whether a module of this part may import the other module.
    pub(super) fn allows(&self, module: &str, imported: &str) -> bool {
        let own = self.module_of(imported);
        let is_own = own.is_some() && (!self.are_separate || own == self.module_of(module));
        is_own || ancestors(imported).any(|path| self.may_import.iter().any(|module| module == path))
    }
}

/// The parts that the text describes. In the column of modules, `a::*` is every module of `a` that no other row has.
pub(super) fn parts(text: &str, modules: &BTreeSet<String>) -> Vec<Part> {
    let rows: Vec<[&str; 4]> = text.lines().filter_map(cells).collect();
    let named: BTreeSet<String> = rows.iter().flat_map(|[_, modules, ..]| paths(modules)).collect();
    let expand_star = |path: String| {
        let Some(parent) = path.strip_suffix('*') else { return vec![path] };
        let is_child = |module: &&String| module.strip_prefix(parent).is_some_and(|name| !name.contains("::"));
        modules.iter().filter(is_child).filter(|module| !named.contains(*module)).cloned().collect()
    };
    let modules_of = |cell: &str| paths(cell).into_iter().flat_map(expand_star).collect::<Vec<_>>();
    let imports = |entry: &str| match rows.iter().find(|[name, ..]| *name == entry) {
        Some([_, modules, ..]) => modules_of(modules),
        None if entry.contains('`') => paths(entry),
        None => panic!("the table has no part {entry:?}"),
    };
    let part = |[name, modules, _, may_import]: &[&str; 4]| Part {
        name: (*name).to_owned(),
        modules: modules_of(modules),
        are_separate: modules.contains('*'),
        may_import: split_outside(may_import, ',')
            .into_iter()
            .filter(|entry| *entry != "–")
            .flat_map(imports)
            .collect(),
    };
    rows.iter().map(part).collect()
}

/// The cells of a row of the table; its second cell names modules.
fn cells(line: &str) -> Option<[&str; 4]> {
    let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: [&str; 4] = line.split(" | ").collect::<Vec<_>>().try_into().ok()?;
    cells[1].starts_with('`').then_some(cells)
}

/// The paths in the code spans.
fn paths(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).flat_map(expand).collect()
}

#[test]
fn table_says_what_may_be_imported() {
    let modules = ["a", "a::b", "a::c", "a::c::d", "e", "f"].map(str::to_owned).into();
    let text = "| part | modules | what | may import |\n|---|---|---|---|\n\
                | base | `e` | x | – |\n| I/O | `a::*` | y | base, `f` |\n";
    let parts = parts(text, &modules);
    let [base, io] = parts.as_slice() else { panic!("{parts:?}") };
    assert_eq!(
        (base.modules.as_slice(), io.modules.as_slice()),
        (&["e".to_owned()][..], &["a::b".to_owned(), "a::c".to_owned()][..])
    );
    assert!(base.allows("e", "e::x") && !base.allows("e", "f"));
    for (imported, allowed) in
        [("a::c", true), ("a::c::d", true), ("a::b", false), ("e", true), ("f::x", true), ("g", false)]
    {
        assert_eq!(io.allows("a::c::d", imported), allowed, "{imported}");
    }
}
