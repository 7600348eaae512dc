//! What no sidecar can be put into, and why.

use super::{Planner, shared};
use crate::SIDECAR;
use crate::pods::Container;
use crate::sidecar_spec::{self, Mode};
use crate::yaml::{Found, Kind, Node};

impl Planner<'_> {
    pub(super) fn refuse(&self) -> Result<(), String> {
        if let Some(stuck) = &self.pod.stuck {
            return Err(stuck.clone());
        }
        if let Some(key) = self.pod.manifest.twice() {
            let name = key.text().unwrap_or_default();
            return Err(format!("line {}: `{name}` is there twice in one map; take one out", key.line));
        }
        self.refuse_strangers()?;
        self.refuse_system()?;
        self.refuse_network()?;
        self.refuse_shape()?;
        self.refuse_containers()
    }

    /// What has our name is found by it again, and taken for sidecar_spec.
    fn refuse_strangers(&self) -> Result<(), String> {
        if let Some(stranger) = &self.present.stranger {
            return Err(format!(
                "line {}: container {SIDECAR} is not lameduck's (it runs neither `sidecar` nor `install`); give it another name",
                stranger.node.line
            ));
        }
        if self.request.shape != Mode::Standalone {
            return Ok(());
        }
        let volume = sidecar_spec::named(self.pod, self.pod.spec, "volumes");
        let is_ours = self.present.shape == Some(Mode::Standalone);
        if let Some(volume) = volume.filter(|volume| !(is_ours && sidecar_spec::is_volume(self.pod, volume))) {
            return Err(format!("line {}: volume {SIDECAR} is not lameduck's; give it another name", volume.line));
        }
        let mount = sidecar_spec::named(self.pod, self.picked.main.node, "volumeMounts");
        match mount.filter(|mount| !sidecar_spec::is_mount(self.pod, mount)) {
            Some(mount) => {
                Err(format!("line {}: it mounts {SIDECAR} elsewhere than lameduck does; take that out", mount.line))
            }
            None => Ok(()),
        }
    }

    fn refuse_system(&self) -> Result<(), String> {
        let selected = |key| self.pod.text(&["nodeSelector", key]);
        let systems = [self.pod.text(&["os", "name"]), selected("kubernetes.io/os"), selected("beta.kubernetes.io/os")];
        if systems.contains(&Some("windows")) {
            return Err("it is a Windows pod, and lameduck needs Linux; leave this workload out with --workload".into());
        }
        Ok(())
    }

    fn refuse_network(&self) -> Result<(), String> {
        if self.request.shape == Mode::Standalone {
            return Ok(());
        }
        let is_set = |key| self.pod.document.get(self.pod.spec, key).is_some_and(Node::is_true);
        if is_set("hostNetwork") {
            return Err("hostNetwork: true: the kubelet finds no pod address to call the hook at; take that out, or take --standalone".into());
        }
        if is_set("hostPID") && self.request.signals() {
            return Err("hostPID: true: Kubernetes refuses shareProcessNamespace beside it; take that out, or take --standalone".into());
        }
        let port = self.request.port;
        let lists = ["containers", "initContainers"].into_iter();
        let mut others = lists.flat_map(|list| self.pod.containers(list)).filter(|other| other.name != SIDECAR);
        match others.find(|other| sidecar_spec::ports(self.pod, other).any(|taken| taken == port)) {
            Some(other) => Err(format!(
                "port {port} is container {}'s already; give lameduck another one, e.g. --listen [::]:{}",
                other.name,
                if port < u16::MAX { port + 1 } else { 8089 }
            )),
            None => Ok(()),
        }
    }

    fn refuse_shape(&self) -> Result<(), String> {
        match self.request.shape {
            Mode::Classic if matches!(self.pod.kind, "Job" | "CronJob") => {
                Err("a Job's pod would never complete beside an ordinary container that stays; leave --classic out"
                    .into())
            }
            Mode::Standalone if !self.picked.held.is_empty() => {
                Err("--hold: a standalone drain sees only its own container; leave one of --hold and --standalone out"
                    .into())
            }
            Mode::Native | Mode::Classic | Mode::Standalone => Ok(()),
        }
    }

    fn refuse_containers(&self) -> Result<(), String> {
        let list = match self.pod.document.find(self.pod.spec, "containers") {
            Found::Own(_, entry) => &entry.value,
            Found::Merged(value) => return Err(shared(value)),
            Found::Absent => return Err("it has no containers; mend that first".into()),
        };
        if self.pod.document.is_repeated(list) {
            return Err(shared(list));
        }
        if !matches!(list.kind, Kind::List { .. }) {
            return Err(format!("line {}: containers is no list; mend that first", list.line));
        }
        let present = self.present.container.iter().map(|(_, container)| container);
        let touched: Vec<&Container> =
            [&self.picked.main].into_iter().chain(&self.picked.held).chain(present).collect();
        match touched.iter().find(|container| container.is_alias) {
            Some(container) => Err(shared(container.node)),
            None => Ok(()),
        }
    }
}
