//! A pod as the rules see it.

use super::container::{Command, Container, List, Role};
use super::hook::{Action, Drain};
use super::invocation::{Invocation, Word};
use super::objects::PodSpec;
use super::settings::{Settings, Target};
use super::view::View;
use super::{Options, ReadSettings};

/// The kubelet's default for `terminationGracePeriodSeconds`, in seconds.
pub(super) const DEFAULT_GRACE_PERIOD: u64 = 30;

/// A pod, its containers and lameduck's settings.
#[derive(Debug)]
pub(super) struct PodView<'a> {
    pub(super) spec: View<'a>,
    pub(super) kind: &'a str,
    pub(super) containers: Vec<Container<'a>>,
    /// The settings of the sidecar, or of the standalone hook.
    pub(super) settings: Settings,
    /// How the manifest starts the sidecar or the standalone hook.
    pub(super) invocation: Option<Invocation>,
    pub(super) options: &'a Options,
}

impl<'a> PodView<'a> {
    /// Views a pod; `None` if lameduck does not occur in it.
    pub(super) fn new(pod: &PodSpec<'a>, options: &'a Options, read_settings: ReadSettings) -> Option<Self> {
        let containers = Container::all(pod.spec);
        let spec = pod.spec;
        let mut view =
            Self { spec, kind: pod.kind, containers, settings: Settings::default(), invocation: None, options };
        let invocation = view.find_invocation();
        if let Some(invocation) = &invocation {
            view.settings = read_settings(invocation);
        }
        let occurs = invocation.is_some() || view.own_containers().next().is_some() || view.requires_sidecar();
        view.invocation = invocation;
        occurs.then_some(view)
    }

    /// The container that runs the sidecar; of several, the first.
    pub(super) fn sidecar(&self) -> Option<&Container<'a>> {
        self.sidecars().next()
    }

    pub(super) fn sidecars(&self) -> impl Iterator<Item = &Container<'a>> {
        self.containers.iter().filter(|container| container.is_sidecar())
    }

    pub(super) fn installers(&self) -> impl Iterator<Item = &Container<'a>> {
        self.containers.iter().filter(|container| container.role == Role::Installer)
    }

    /// The sidecars and the installers.
    pub(super) fn own_containers(&self) -> impl Iterator<Item = &Container<'a>> {
        self.containers.iter().filter(|container| container.role != Role::Other)
    }

    /// Whether a hook calls a sidecar.
    pub(super) fn requires_sidecar(&self) -> bool {
        self.containers.iter().filter_map(|container| container.hook).any(|hook| hook.requires_sidecar())
    }

    /// Whether a hook drains without a sidecar.
    pub(super) fn is_standalone(&self) -> bool {
        self.sidecar().is_none() && self.standalone_hook().is_some()
    }

    /// The port of the sidecar, if the manifest says it.
    pub(super) fn port(&self) -> Option<u16> {
        self.settings.listen.map(|listen| listen.port)
    }

    /// Whether a field of the pod spec is true.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.spec.get(key).and_then(View::boolean) == Some(true)
    }

    /// The pod's grace period in seconds; `None` if it is not a whole number.
    pub(super) fn grace_period(&self) -> Option<u64> {
        let field = self.spec.get("terminationGracePeriodSeconds");
        field.map_or(Some(DEFAULT_GRACE_PERIOD), |field| field.integer()?.try_into().ok())
    }

    /// The ordinary containers that do not run lameduck.
    pub(super) fn others(&self) -> Vec<&Container<'a>> {
        let is_other = |container: &&Container| container.list == List::Ordinary && container.role == Role::Other;
        self.containers.iter().filter(is_other).collect()
    }

    /// The containers that run the target, as far as that can be seen.
    pub(super) fn main_containers(&self) -> Vec<&Container<'a>> {
        let others = self.others();
        let named = others.iter().find(|container| self.options.container.as_deref() == Some(container.name));
        if let Some(named) = named {
            return vec![named];
        }
        let runs_target = |container: &&&Container| match &self.settings.target {
            Some(Target::Program { name, image }) => container.runs(Some(name), *image),
            Some(Target::Port(_) | Target::None) | None => false,
        };
        let by_target: Vec<_> = others.iter().filter(runs_target).copied().collect();
        if !by_target.is_empty() {
            return by_target;
        }
        if others.len() == 1 {
            return others;
        }
        others.into_iter().filter(|container| self.calls_lameduck(container)).collect()
    }

    /// The containers named with `--also-hook`.
    pub(super) fn also_hooked(&self) -> Vec<&Container<'a>> {
        let is_named = |container: &&Container| self.options.also_hook.iter().any(|name| name == container.name);
        self.containers.iter().filter(is_named).collect()
    }

    /// The containers whose hooks matter, each once: those that must have one, and those that have one for lameduck.
    pub(super) fn hooked(&self) -> Vec<&Container<'a>> {
        let mut hooked = self.main_containers();
        let calls = self.others().into_iter().filter(|container| self.calls_lameduck(container));
        for container in self.also_hooked().into_iter().chain(calls) {
            if !hooked.iter().any(|other| std::ptr::eq(*other, container)) {
                hooked.push(container);
            }
        }
        hooked
    }

    /// Whether a container has a hook that is meant for lameduck.
    pub(super) fn calls_lameduck(&self, container: &Container) -> bool {
        container.hook.is_some_and(|hook| hook.is_for_lameduck(self.port()))
    }

    fn find_invocation(&self) -> Option<Invocation> {
        if let Some(sidecar) = self.sidecar() {
            let Role::Sidecar(command) = &sidecar.role else { return None };
            let args = match command {
                Command::Sidecar(words) => Some(words.clone()),
                Command::Unknown | Command::Invalid(_) => None,
            };
            return Some(self.invocation(sidecar, args, false));
        }
        let (container, hook) = self.standalone_hook()?;
        let words = |hook: Drain| hook.args().into_iter().map(|word| Word::Known(word.to_owned())).collect();
        Some(self.invocation(container, hook.map(words), true))
    }

    fn invocation(&self, container: &Container, args: Option<Vec<Word>>, standalone: bool) -> Invocation {
        Invocation {
            standalone,
            args,
            environment: container.environment.of_lameduck(),
            has_env_from: container.environment.has_env_from,
            pod_grace_period: self.grace_period(),
        }
    }

    /// The container whose hook drains without a sidecar, and the hook's command; `None` if a script runs it.
    fn standalone_hook(&self) -> Option<(&Container<'a>, Option<Drain<'a>>)> {
        self.containers.iter().find_map(|container| match container.hook?.action {
            Action::Drain(drain) if drain.standalone => Some((container, Some(drain))),
            Action::Indirect { standalone: true, .. } => Some((container, None)),
            Action::Http(_) | Action::Drain(_) | Action::Indirect { .. } | Action::Other(_) => None,
        })
    }
}
