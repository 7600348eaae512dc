//! The sources have the structure that ARCHITECTURE.md describes: who imports whom, and how large anything may be.

mod brackets;
mod imports;
mod items;
mod source;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use self::imports::{imports, module_of};
use self::items::{count_methods, fields, functions};
use self::source::Source;
use self::table::{Part, parts};

const MAX_FUNCTION_LINES: usize = 45;
const MAX_PARAMETERS: usize = 5;
const MAX_FILE_LINES: usize = 350;
/// Of a type of the machine.
const MAX_FIELDS: usize = 10;
const MAX_METHODS: usize = 20;

/// Every folder with Rust sources.
const FOLDERS: [&str; 7] = ["src", "crates", "tests", "benches", "examples", "fuzz/src", "fuzz/fuzz_targets"];

fn assert_none(violations: impl IntoIterator<Item = String>, rule: &str) {
    let violations: Vec<String> = violations.into_iter().collect();
    assert!(violations.is_empty(), "{rule}:\n{}", violations.join("\n"));
}

fn all_modules(sources: &[Source]) -> BTreeSet<String> {
    sources.iter().map(|source| source.module().1).collect()
}

/// The parts in the table of ARCHITECTURE.md.
fn documented_parts(modules: &BTreeSet<String>) -> Vec<Part> {
    parts(&fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap(), modules)
}

/// Whether the module only declares the modules of the table.
fn is_root(module: &str, parts: &[Part]) -> bool {
    let prefix = format!("{module}::");
    module.is_empty() || parts.iter().flat_map(|part| &part.modules).any(|path| path.starts_with(&prefix))
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let sources = Source::all_modules();
    let modules = all_modules(&sources);
    let parts = documented_parts(&modules);
    let mut violations = BTreeSet::new();
    for source in &sources {
        let (_, module) = source.module();
        let Some(part) = parts.iter().find(|part| part.module_of(&module).is_some()) else {
            if !is_root(&module, &parts) {
                violations.insert(format!("{}: no part of the table has `{module}`", source.path));
            }
            continue;
        };
        for import in imports(source) {
            let imported = module_of(&modules, &import.path);
            if !part.allows(&module, imported) {
                let (path, line) = (&source.path, import.line);
                violations.insert(format!("{path}:{line}: {} may not import `{imported}`", part.name));
            }
        }
    }
    assert_none(violations, "imports that the table of ARCHITECTURE.md does not allow");
}

#[test]
fn table_names_existing_modules() {
    let modules = all_modules(&Source::all_modules());
    let named = documented_parts(&modules).into_iter().flat_map(|part| part.modules);
    assert_eq!(named.filter(|module| !modules.contains(module)).collect::<Vec<_>>(), [""; 0]);
}

/// Removes every module that is in no cycle and imports none that is.
fn retain_cycles(graph: &mut BTreeMap<String, BTreeSet<String>>) {
    loop {
        let leaf = graph.iter().find(|(_, imports)| imports.is_empty()).map(|(module, _)| module.clone());
        let Some(leaf) = leaf else { return };
        graph.remove(&leaf);
        for imports in graph.values_mut() {
            imports.remove(&leaf);
        }
    }
}

/// A module and the modules inside it may use each other: together they are one unit to those outside.
#[test]
fn modules_import_each_other_in_no_cycle() {
    let sources = Source::all_modules();
    let modules = all_modules(&sources);
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in &sources {
        let (_, module) = source.module();
        let inside = format!("{module}::");
        let imported = imports(source).into_iter().map(|import| module_of(&modules, &import.path).to_owned());
        let outside = imported.filter(|imported| *imported != module && !imported.starts_with(&inside)).collect();
        graph.insert(module, outside);
    }
    assert!(graph["machine::drain"].contains("machine::time"), "{graph:?}");
    retain_cycles(&mut graph);
    let remaining = graph.iter().map(|(module, imports)| format!("{module} imports {imports:?}"));
    assert_none(remaining, "modules in a cycle, or that import one that is");
}

#[test]
fn cycles_are_found() {
    let edges = [("a", vec!["b"]), ("b", vec!["c"]), ("c", vec!["b", "d"]), ("d", vec![])];
    let set = |imports: Vec<&str>| imports.into_iter().map(str::to_owned).collect();
    let mut graph = edges.map(|(module, imports)| (module.to_owned(), set(imports))).into();
    retain_cycles(&mut graph);
    assert_eq!(graph.into_keys().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn functions_are_short_and_have_few_parameters() {
    let (mut count, mut violations) = (0, Vec::new());
    for source in ["src", "crates"].into_iter().flat_map(Source::all_in) {
        for function in functions(&source.code) {
            count += 1;
            if function.lines > MAX_FUNCTION_LINES || function.parameters > MAX_PARAMETERS {
                violations.push(format!("{}:{}: {function:?}", source.path, function.line));
            }
        }
    }
    assert!(count > 1000, "only {count} functions were found");
    assert_none(violations, "functions that are too long or have too many parameters");
}

#[test]
fn files_are_short() {
    let sources = FOLDERS.into_iter().flat_map(Source::all_in);
    let long = sources.filter(|source| source.lines > MAX_FILE_LINES);
    let violations = long.map(|source| format!("{}: {} lines", source.path, source.lines));
    assert_none(violations, "files that are too long");
}

#[test]
fn types_of_the_machine_are_small() {
    let (mut violations, mut methods) = (Vec::new(), BTreeMap::new());
    for source in Source::all_in("crates/machine/src") {
        let code = source.production_code();
        count_methods(&code, &mut methods);
        let large = fields(&code).into_iter().filter(|(_, count)| *count > MAX_FIELDS);
        violations.extend(large.map(|(name, count)| format!("{}: {name} has {count} fields", source.path)));
    }
    assert!(methods["Controller"] > 10, "{methods:?}");
    let large = methods.into_iter().filter(|(_, count)| *count > MAX_METHODS);
    violations.extend(large.map(|(name, count)| format!("{name} has {count} methods")));
    assert_none(violations, "types that are too large");
}
