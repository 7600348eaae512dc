//! What is to change in a pod so that the sidecar is in it.

use crate::pods::{Container, Pod};
use crate::select::Picked;
use crate::sidecar_spec::{self, Mode, Present};
use crate::splice::Splice;
use crate::yaml::{Found, Kind, Layout, Node};
use crate::yaml_value::{Manner, Part};
use crate::{Check, Request, SIDECAR};

mod refuse;
mod spec;

/// One pod, its containers, and what is wanted of them.
#[derive(Debug)]
pub struct Planner<'a> {
    pod: &'a Pod<'a>,
    picked: Picked<'a>,
    request: &'a Request,
    present: Present<'a>,
    manner: Manner,
}

/// Entries that a map does not have yet.
type Missing = Vec<(&'static str, Part)>;

impl<'a> Planner<'a> {
    /// Looks whether the pod can be changed at all.
    ///
    /// # Errors
    /// Names the cause and the mend.
    pub fn new(pod: &'a Pod<'a>, picked: Picked<'a>, request: &'a Request, text: &str) -> Result<Self, String> {
        let present = Present::find(pod);
        let planner = Self { pod, picked, request, present, manner: manner(pod, text) };
        planner.refuse().map_err(|error| planner.told(&error))?;
        Ok(planner)
    }

    /// The pod.
    #[must_use]
    pub fn pod(&self) -> &'a Pod<'a> {
        self.pod
    }

    /// Whether lameduck is in the pod in another way than is wanted now.
    #[must_use]
    pub fn is_of_another_shape(&self) -> bool {
        self.present.shape.is_some_and(|shape| shape != self.request.shape)
    }

    /// Adds what is to change, and what is to be said of it.
    ///
    /// # Errors
    /// Names the cause and the mend.
    pub fn plan(&self, splice: &mut Splice, told: &mut Vec<String>, check: Check) -> Result<(), String> {
        self.change(splice, told, check).map_err(|error| self.told(&error))
    }

    fn told(&self, what: &str) -> String {
        format!("{}: {what}", self.pod.title())
    }

    fn change(&self, splice: &mut Splice, told: &mut Vec<String>, check: Check) -> Result<(), String> {
        let before = splice.len();
        let mut missing = Missing::new();
        let grace_period = self.grace_period(splice, &mut missing, told)?;
        check(grace_period)?;
        let hook = match self.request.shape {
            Mode::Native | Mode::Classic => {
                let shared_before = self.share_processes(&mut missing)?;
                self.sidecar(grace_period, shared_before, splice, &mut missing, told)?;
                sidecar_spec::hook(self.request.port)
            }
            Mode::Standalone => {
                self.item(
                    self.pod.spec,
                    "initContainers",
                    &sidecar_spec::installer(self.request),
                    splice,
                    &mut missing,
                )?;
                self.item(self.pod.spec, "volumes", &sidecar_spec::volume(), splice, &mut missing)?;
                sidecar_spec::standalone_hook(self.request, grace_period)
            }
        };
        for container in [&self.picked.main].into_iter().chain(&self.picked.held) {
            self.hook(container, &hook, splice).map_err(|error| format!("container {}: {error}", container.name))?;
        }
        self.let_go(splice, told);
        told.extend(splice.take_changed().iter().map(|line| self.told(line)));
        told.extend(self.kept());
        let Found::Own(before_containers, _) = self.find(self.pod.spec, "containers") else { return Ok(()) };
        splice.insert(self.pod.spec, before_containers, &missing, self.manner)?;
        told.push(self.told(&self.summary(splice.len() > before, grace_period)));
        Ok(())
    }

    fn summary(&self, changed: bool, grace_period: u64) -> String {
        let hooks: Vec<_> =
            [&self.picked.main].into_iter().chain(&self.picked.held).map(|container| container.name).collect();
        let hooks = hooks.join(", ");
        let shape = match self.request.shape {
            Mode::Native => "native sidecar",
            Mode::Classic => "classic sidecar",
            Mode::Standalone => "standalone",
        };
        let done = match (changed, self.present.shape) {
            (false, _) => "is up to date",
            (true, Some(_)) => "brought up to date",
            (true, None) => "added",
        };
        format!("lameduck {done} ({shape}, grace period {grace_period} s); the hook is on {hooks}")
    }

    /// Settings of the sidecar that are there, were not typed now, and stay.
    fn kept(&self) -> Option<String> {
        let typed = |name: &String| self.request.settings.iter().any(|setting| setting.variable == *name);
        let mut kept = self.present.additions(self.pod);
        kept.retain(|name| !typed(name));
        let kept = kept.join(", ");
        (!kept.is_empty()).then(|| self.told(&format!("kept in container {SIDECAR} as it was there: {kept}")))
    }

    fn find(&self, map: &'a Node, key: &str) -> Found<'a> {
        self.pod.document.find(map, key)
    }

    fn sidecar(
        &self,
        grace_period: u64,
        shared_before: bool,
        splice: &mut Splice,
        missing: &mut Missing,
        told: &mut Vec<String>,
    ) -> Result<(), String> {
        let shared_before = shared_before && self.present.container.is_none();
        let sidecar = sidecar_spec::sidecar(self.request, grace_period, self.user(told)?, shared_before);
        if self.request.shape == Mode::Native {
            // The first of them: it is there before whatever else starts, and stops after whatever else has stopped.
            return self.item(self.pod.spec, "initContainers", &sidecar, splice, missing);
        }
        let Found::Own(_, entry) = self.find(self.pod.spec, "containers") else { return Ok(()) };
        match self.present.container {
            Some((_, container)) => {
                splice.update(self.pod.document, container.node, &sidecar_spec::renewed(&sidecar), self.manner)?;
            }
            // The last: `kubectl logs` and `kubectl exec` take the first unless they are told.
            None => splice.append(&entry.value, &sidecar, self.manner)?,
        }
        Ok(())
    }

    /// Writes an item of sidecar_spec into a list of a map, or brings the one that is there up to date.
    fn item(
        &self,
        map: &'a Node,
        key: &'static str,
        item: &Part,
        splice: &mut Splice,
        missing: &mut Missing,
    ) -> Result<(), String> {
        let entry = match self.find(map, key) {
            Found::Own(_, entry) => entry,
            Found::Merged(value) => return Err(shared(value)),
            Found::Absent => {
                missing.push((key, Part::List(vec![item.clone()])));
                return Ok(());
            }
        };
        let list = &entry.value;
        if self.pod.document.is_repeated(list) {
            return Err(shared(list));
        }
        if list.is_null() {
            return splice.fill(list, &Part::List(vec![item.clone()]), self.manner);
        }
        let Kind::List { items, .. } = &list.kind else {
            return Err(format!("line {}: {key} is no list; mend that first", list.line));
        };
        let name = |item| self.pod.document.get(item, "name").and_then(Node::text);
        match items.iter().position(|item| name(item) == Some(SIDECAR)) {
            Some(index) => {
                splice.update(self.pod.document, &items[index], &sidecar_spec::renewed(item), self.manner)?
            }
            None => splice.prepend(list, item, self.manner)?,
        }
        Ok(())
    }

    fn hook(&self, container: &Container<'a>, hook: &Part, splice: &mut Splice) -> Result<(), String> {
        let mut missing = Missing::new();
        if self.request.shape == Mode::Standalone {
            self.item(
                container.node,
                "volumeMounts",
                &sidecar_spec::mount(sidecar_spec::MOUNT, true),
                splice,
                &mut missing,
            )?;
        }
        match self.find(container.node, "lifecycle") {
            Found::Absent => missing.push(("lifecycle", Part::Map(vec![("preStop", hook.clone())]))),
            Found::Merged(value) => return Err(shared(value)),
            Found::Own(_, entry) if self.pod.document.is_repeated(&entry.value) => return Err(shared(&entry.value)),
            Found::Own(_, entry) if entry.value.is_null() => {
                splice.fill(&entry.value, &Part::Map(vec![("preStop", hook.clone())]), self.manner)?;
            }
            Found::Own(_, entry) => self.pre_stop(&entry.value, hook, splice)?,
        }
        splice.insert(container.node, place_for_hook(container.node), &missing, self.manner)
    }

    fn pre_stop(&self, lifecycle: &'a Node, hook: &Part, splice: &mut Splice) -> Result<(), String> {
        if !matches!(lifecycle.kind, Kind::Map { .. }) {
            return Err(format!("line {}: lifecycle is no map; mend that first", lifecycle.line));
        }
        let there = match self.find(lifecycle, "preStop") {
            Found::Absent => return splice.insert(lifecycle, 0, &[("preStop", hook.clone())], self.manner),
            Found::Own(_, entry) if entry.value.is_null() => return splice.fill(&entry.value, hook, self.manner),
            Found::Own(_, entry) if self.present.owns(self.pod, &entry.value, self.request.port) => {
                return splice.update(self.pod.document, &entry.value, hook.entries(), self.manner);
            }
            Found::Own(_, entry)
                if self.request.shape != Mode::Standalone && sidecar_spec::waits(self.pod, &entry.value) =>
            {
                return Ok(());
            }
            Found::Own(_, entry) => &entry.key,
            Found::Merged(value) => value,
        };
        Err(format!(
            "line {}: it has a preStop hook already, which is not replaced; take it out (lameduck waits for the streams itself), or call `lameduck drain --hook` at its end",
            there.line
        ))
    }

    /// Takes our hook out of containers that are not to have it any more.
    fn let_go(&self, splice: &mut Splice, told: &mut Vec<String>) {
        let kept =
            |name| [&self.picked.main].into_iter().chain(&self.picked.held).any(|container| container.name == name);
        for container in self.pod.containers("containers").iter().filter(|container| !kept(container.name)) {
            let hook = super::remove::hook(self.pod, &self.present, self.request.port, container, splice);
            told.extend(hook.map(|hook| self.told(&format!("taken out: {hook}"))));
        }
    }
}

fn shared(node: &Node) -> String {
    format!(
        "line {}: an anchor and its aliases, or a merge (<<), share what is to be changed; write it out where it is used",
        node.line
    )
}

/// Behind the image, where there is something behind it.
fn place_for_hook(container: &Node) -> usize {
    let entries = container.entries();
    let image = entries.iter().position(|entry| entry.key.text() == Some("image"));
    match image {
        Some(index) if index + 1 < entries.len() => index + 1,
        _ => 1.min(entries.len().saturating_sub(1)),
    }
}

/// How the pod's surroundings are written.
fn manner(pod: &Pod, text: &str) -> Manner {
    let root = &pod.document.root;
    let json = matches!(root.layout(), Some(Layout::Flow(open)) if text[open..].trim_start().starts_with('"'));
    let first = root.entries().first().or_else(|| root.items().first()?.entries().first());
    let compact = json && first.is_some_and(|entry| &text[entry.key.span.end..entry.value.span.start] == ":");
    let column = |map: &Node| map.entries().first().map_or(0, |entry| entry.key.column);
    let depth = match pod.kind {
        "Pod" => 1,
        "CronJob" => 5,
        _ => 3,
    };
    let step = (column(pod.spec).saturating_sub(column(pod.manifest)) / depth).max(1);
    let Found::Own(_, containers) = pod.document.find(pod.spec, "containers") else {
        return Manner { step, dash: step, json, compact };
    };
    let dash = match containers.value.layout() {
        Some(Layout::Block) => containers.value.column.saturating_sub(containers.key.column),
        Some(Layout::Flow(_)) | None => step,
    };
    Manner { step, dash, json, compact }
}
