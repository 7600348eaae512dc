//! The objects of a stream that hold pods.

use super::view::View;
use crate::yaml::{self, Document, YamlError};

/// Where the pod template may be, in any kind: a workload, a cron job, a `PodTemplate`, a pod.
const TEMPLATE_PATHS: [&[&str]; 4] =
    [&["spec", "template"], &["spec", "jobTemplate", "spec", "template"], &["template"], &[]];
/// How deeply Lists may contain Lists.
const MAX_LIST_DEPTH: usize = 8;

/// An object with a pod spec.
#[derive(Debug)]
pub(super) struct PodSpec<'a> {
    pub(super) document: usize,
    pub(super) line: usize,
    pub(super) kind: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) spec: View<'a>,
}

/// The documents of a stream, each with its number from 1.
#[derive(Debug, Default)]
pub(super) struct Documents {
    read: Vec<(usize, Document)>,
}

/// The objects of a stream.
#[derive(Debug, Default)]
pub(super) struct Objects<'a> {
    pub(super) pods: Vec<PodSpec<'a>>,
    /// The objects without a pod spec, as KIND/NAME.
    pub(super) others: Vec<String>,
}

/// The kind of a List's items, which they may leave out.
#[derive(Clone, Copy)]
struct Context<'a> {
    document: usize,
    item_kind: Option<&'a str>,
    depth: usize,
}

impl Documents {
    /// Reads all documents.
    ///
    /// # Errors
    /// Returns the place and the cause if one cannot be read.
    pub(super) fn read(text: &str) -> Result<Self, YamlError> {
        let pieces: Result<Vec<_>, _> =
            yaml::split_documents(text).iter().map(|piece| yaml::read(text, piece)).collect();
        let numbered = pieces?.into_iter().flatten().enumerate().map(|(index, document)| (index + 1, document));
        Ok(Self { read: numbered.collect() })
    }

    pub(super) fn objects(&self) -> Objects<'_> {
        let mut objects = Objects::default();
        for (number, document) in &self.read {
            let context = Context { document: *number, item_kind: None, depth: 0 };
            objects.add(View::new(document, &document.root), context);
        }
        objects
    }
}

impl<'a> Objects<'a> {
    /// Adds an object, or the items of a List.
    fn add(&mut self, object: View<'a>, context: Context<'a>) {
        if !object.is_map() {
            return;
        }
        let kind = object.text_of("kind").or(context.item_kind).unwrap_or("(no kind)");
        let items = object.get("items").filter(|items| items.is_list());
        // An aliased list may contain itself.
        if let (Some(singular), Some(items)) = (kind.strip_suffix("List"), items)
            && context.depth < MAX_LIST_DEPTH
            && !items.is_shared()
        {
            let item_kind = Some(singular).filter(|kind| !kind.is_empty());
            for item in items.items() {
                self.add(item, Context { item_kind, depth: context.depth + 1, ..context });
            }
            return;
        }
        let metadata = |key| object.at(&["metadata", key]).and_then(View::text);
        let name = metadata("name").or_else(|| metadata("generateName")).unwrap_or("(no name)");
        match pod_spec(object) {
            Some(spec) => self.pods.push(PodSpec {
                document: context.document,
                line: object.line(),
                kind,
                namespace: metadata("namespace"),
                name,
                spec,
            }),
            None => self.others.push(format!("{kind}/{name}")),
        }
    }
}

/// The pod spec of an object: the first that has a list of containers.
fn pod_spec(object: View<'_>) -> Option<View<'_>> {
    let specs = TEMPLATE_PATHS.iter().filter_map(|path| object.at(path)?.get("spec"));
    specs.into_iter().find(|spec| spec.get("containers").is_some_and(View::is_list))
}
