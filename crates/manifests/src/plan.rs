//! What has to change in a pod so that lameduck runs in it.

use crate::pods::{Container, Pod};
use crate::preflight::{Invocation, SettingsCheck};
use crate::request::{Message, Mode, Request, SIDECAR_NAME};
use crate::select::Selection;
use crate::sidecar_spec::{self, Existing};
use crate::text_edit::TextEdits;
use crate::yaml::{Kind, Layout, Lookup, Node};
use crate::yaml_value::{YamlStyle, YamlValue};

mod annotations;
mod hook;
mod probes;
mod profile;
mod refuse;
mod spec;

pub use refuse::KNATIVE_DRAINS;

/// Plans the changes of one pod.
#[derive(Debug)]
pub struct Planner<'a> {
    pod: &'a Pod<'a>,
    selection: Selection<'a>,
    request: &'a Request,
    replaced: &'a [ReplacedHook],
    existing: Existing<'a>,
    style: YamlStyle,
}

/// A hook that an earlier run of `inject` has replaced, and that a change of the mode restores for a moment.
#[derive(Debug)]
pub struct ReplacedHook {
    /// The pod's title.
    pub pod: String,
    /// The container's name.
    pub container: String,
}

/// What users must know about pods on the node's network.
const HOST_NETWORK: &str = "hostNetwork: the hook calls 127.0.0.1, and lameduck's port is the node's, so two such pods cannot run on one node; Pod Security's levels baseline and restricted forbid both hostNetwork and, from Kubernetes 1.34 on, host in a hook";

/// An entry that a map does not have yet.
type NewEntry = (&'static str, YamlValue);

/// The changes of one pod, as far as they are planned.
struct Changes<'e, 't> {
    edits: &'e mut TextEdits<'t>,
    /// Missing entries of the pod spec, all inserted in front of `containers`.
    spec_entries: Vec<NewEntry>,
    /// Annotations of the pod template.
    annotations: Vec<NewEntry>,
    /// The preStop hooks that lameduck takes over: the container's name, and the original text of the entry.
    original_hooks: Vec<(String, String)>,
    /// The containers whose saved hooks are restored.
    restored: Vec<String>,
    messages: Vec<Message>,
}

impl Changes<'_, '_> {
    fn note(&mut self, text: impl Into<String>) {
        self.messages.push(Message::Note(text.into()));
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.messages.push(Message::Warning(text.into()));
    }
}

impl<'a> Planner<'a> {
    /// Checks that the pod can be changed.
    ///
    /// # Errors
    /// Names the cause and the fix.
    pub fn new(
        pod: &'a Pod<'a>,
        selection: Selection<'a>,
        request: &'a Request,
        replaced: &'a [ReplacedHook],
        text: &str,
    ) -> Result<Self, String> {
        let (existing, style) = (Existing::find(pod), detect_style(pod, text));
        let planner = Self { pod, selection, request, replaced, existing, style };
        planner.refuse().map_err(|error| planner.prefixed(&error))?;
        Ok(planner)
    }

    /// The pod.
    #[must_use]
    pub fn pod(&self) -> &'a Pod<'a> {
        self.pod
    }

    /// Whether lameduck runs in the pod in another mode than the requested one.
    #[must_use]
    pub fn mode_differs(&self) -> bool {
        self.existing.mode.is_some_and(|mode| mode != self.request.mode)
    }

    /// Adds the pod's changes to the edits, and returns messages about them.
    ///
    /// # Errors
    /// Names the cause and the fix.
    pub fn plan(&self, edits: &mut TextEdits, check: SettingsCheck) -> Result<Vec<Message>, String> {
        let messages = self.change(edits, check).map_err(|error| self.prefixed(&error))?;
        Ok(messages.iter().map(|message| message.prefixed(&self.pod.title())).collect())
    }

    fn prefixed(&self, message: &str) -> String {
        format!("{}: {message}", self.pod.title())
    }

    fn change(&self, edits: &mut TextEdits, check: SettingsCheck) -> Result<Vec<Message>, String> {
        let edits_before = edits.len();
        edits.set_style(self.style);
        let mut changes = Changes {
            edits,
            spec_entries: Vec::new(),
            annotations: Vec::new(),
            original_hooks: Vec::new(),
            restored: Vec::new(),
            messages: Vec::new(),
        };
        let grace_period = self.grace_period(&mut changes)?;
        check(&self.invocation(grace_period)).map_err(|error| self.with_kept_variables(error))?;
        self.compare_stop_signal(&mut changes);
        let hook = match self.request.mode {
            Mode::Native | Mode::Classic => {
                self.share_processes(&mut changes)?;
                self.sidecar(grace_period, &mut changes)?;
                if self.is_host_network() {
                    changes.note(HOST_NETWORK);
                }
                sidecar_spec::http_hook(self.request.port, self.is_host_network())
            }
            Mode::Standalone => {
                self.spec_item("initContainers", &sidecar_spec::installer(self.request), &mut changes)?;
                self.spec_item("volumes", &sidecar_spec::volume(), &mut changes)?;
                sidecar_spec::standalone_hook(self.request, grace_period)
            }
        };
        for container in self.selection.containers() {
            self.hook(container, &hook, &mut changes)
                .map_err(|error| format!("container {}: {error}", container.name))?;
        }
        self.remove_stale_hooks(&mut changes)?;
        self.annotate(&mut changes)?;
        let Changes { edits, spec_entries, mut messages, .. } = changes;
        messages.extend(edits.take_changed().into_iter().map(Message::Note));
        messages.extend(self.kept_fields().map(Message::Note));
        messages.extend(self.probe_grace_periods(grace_period).into_iter().map(Message::Warning));
        let Lookup::Own(before_containers, _) = self.lookup(self.pod.spec, "containers") else { return Ok(messages) };
        edits.insert(self.pod.spec, before_containers, &spec_entries)?;
        messages.push(Message::Note(self.summary(edits.len() > edits_before, grace_period)));
        Ok(messages)
    }

    fn summary(&self, changed: bool, grace_period: u64) -> String {
        let hooks: Vec<_> = self.selection.containers().map(|container| container.name).collect();
        let hooks = hooks.join(", ");
        let mode = match self.request.mode {
            Mode::Native => "native sidecar",
            Mode::Classic => "classic sidecar",
            Mode::Standalone => "standalone",
        };
        let action = match (changed, self.existing.mode) {
            (false, _) => "is up to date",
            (true, Some(_)) => "updated",
            (true, None) => "added",
        };
        format!("lameduck {action} ({mode}, grace period {grace_period} s); the hook is on {hooks}")
    }

    /// A message about settings of the existing sidecar that stay, although they were not given again.
    fn kept_fields(&self) -> Option<String> {
        let kept = self.kept();
        (!kept.is_empty()).then(|| format!("kept in container {SIDECAR_NAME}: {}", kept.join(", ")))
    }

    fn kept(&self) -> Vec<String> {
        let is_given = |name: &String| self.request.settings.iter().any(|setting| setting.variable == *name);
        let mut kept = self.existing.additions(self.pod);
        kept.retain(|name| !is_given(name));
        kept
    }

    /// How lameduck is started after the injection.
    fn invocation(&self, grace_period: u64) -> Invocation {
        let (document, request) = (self.pod.document, self.request);
        match request.mode {
            Mode::Native | Mode::Classic => {
                let existing = self.existing.container.map(|(_, container)| container.node);
                let variables = sidecar_spec::variables(request, grace_period);
                Invocation::of_sidecar(document, existing, variables, grace_period)
            }
            Mode::Standalone => {
                let flags = sidecar_spec::standalone_flags(request, grace_period);
                Invocation::of_standalone(document, self.selection.main.node, flags, grace_period)
            }
        }
    }

    /// An error about the settings, with the names of those that come from the existing sidecar.
    fn with_kept_variables(&self, error: String) -> String {
        let mut kept = self.kept();
        kept.retain(|name| name.starts_with("LAMEDUCK_"));
        if kept.is_empty() || self.request.mode == Mode::Standalone {
            return error;
        }
        format!("{error} (kept from the existing sidecar: {})", kept.join(", "))
    }

    fn is_host_network(&self) -> bool {
        self.pod.document.get(self.pod.spec, "hostNetwork").is_some_and(Node::is_true)
    }

    fn lookup(&self, map: &'a Node, key: &str) -> Lookup<'a> {
        self.pod.document.lookup(map, key)
    }

    fn sidecar(&self, grace_period: u64, changes: &mut Changes) -> Result<(), String> {
        let user = self.user(changes)?;
        if user.uid.is_none() {
            self.remove_uid(changes);
        }
        let sidecar = sidecar_spec::sidecar(self.request, grace_period, user, self.app_armor(changes));
        if self.request.mode == Mode::Native {
            // As the first init container: it starts before all other containers and stops after them.
            return self.spec_item("initContainers", &sidecar, changes);
        }
        let Lookup::Own(_, entry) = self.lookup(self.pod.spec, "containers") else { return Ok(()) };
        match self.existing.container {
            Some((_, Container { node, .. })) => {
                let fields = sidecar_spec::managed_fields(&sidecar, self.pod, node);
                changes.edits.update(self.pod.document, node, &fields)
            }
            // As the last container: `kubectl logs` and `kubectl exec` select the first by default.
            None => changes.edits.append(&entry.value, &sidecar),
        }
    }

    /// Removes the uid that an earlier run gave the sidecar.
    fn remove_uid(&self, changes: &mut Changes) {
        let Some((_, Container { node, .. })) = self.existing.container else { return };
        let Lookup::Own(_, context) = self.lookup(node, "securityContext") else { return };
        let Lookup::Own(index, uid) = self.lookup(&context.value, "runAsUser") else { return };
        if !self.pod.document.is_aliased(&context.value) && context.value.entries().len() > 1 {
            changes.note(format!("line {}: runAsUser is removed from container {SIDECAR_NAME}", uid.key.line));
            changes.edits.remove_entries(&context.value, &[index]);
        }
    }

    /// Writes an item of lameduck into a list of the pod spec.
    fn spec_item(&self, key: &'static str, item: &YamlValue, changes: &mut Changes) -> Result<(), String> {
        let new_entry = self.write_item(self.pod.spec, key, item, changes.edits)?;
        changes.spec_entries.extend(new_entry);
        Ok(())
    }

    /// Writes an item of lameduck into a list, or updates the existing item. Returns the whole list as a new entry if
    /// the map does not have it.
    fn write_item(
        &self,
        map: &'a Node,
        key: &'static str,
        item: &YamlValue,
        edits: &mut TextEdits,
    ) -> Result<Option<NewEntry>, String> {
        let whole_list = YamlValue::List(vec![item.clone()]);
        let list = match self.lookup(map, key) {
            Lookup::Own(_, entry) => &entry.value,
            Lookup::Merged(value) => return Err(shared(value)),
            Lookup::Absent => return Ok(Some((key, whole_list))),
        };
        if self.pod.document.is_aliased(list) {
            return Err(shared(list));
        }
        if list.is_null() {
            return edits.fill(list, &whole_list).map(|()| None);
        }
        let Kind::List { items, .. } = &list.kind else {
            return Err(format!("line {}: {key} is not a list; fix that first", list.line));
        };
        let name = |item| self.pod.document.get(item, "name").and_then(Node::text);
        match items.iter().find(|item| name(item) == Some(SIDECAR_NAME)) {
            Some(existing) => {
                let fields = sidecar_spec::managed_fields(item, self.pod, existing);
                edits.update(self.pod.document, existing, &fields)?;
            }
            None => edits.prepend(list, item)?,
        }
        Ok(None)
    }
}

fn shared(node: &Node) -> String {
    format!(
        "line {}: an anchor and its aliases, or a merge (<<), share this part; write it out in each place",
        node.line
    )
}

/// Detects the formatting of the text around the pod.
pub(crate) fn detect_style(pod: &Pod, text: &str) -> YamlStyle {
    let root = &pod.document.root;
    let json = matches!(root.layout(), Some(Layout::Flow(open)) if text[open..].trim_start().starts_with('"'));
    let first = root.entries().first().or_else(|| root.items().first()?.entries().first());
    let compact = json && first.is_some_and(|entry| &text[entry.key.span.end..entry.value.span.start] == ":");
    let column = |map: &Node| map.entries().first().map_or(0, |entry| entry.key.column);
    // Each key of the path and `spec` indent once.
    let depth = pod.path.len() + 1;
    let step = (column(pod.spec).saturating_sub(column(pod.manifest)) / depth).max(1);
    let Lookup::Own(_, containers) = pod.document.lookup(pod.spec, "containers") else {
        return YamlStyle { step, dash: step, json, compact };
    };
    let dash = match containers.value.layout() {
        Some(Layout::Block) => containers.value.column.saturating_sub(containers.key.column),
        Some(Layout::Flow(_)) | None => step,
    };
    YamlStyle { step, dash, json, compact }
}
