//! What no sidecar can be put into, and why.

use super::{Planner, shared};
use crate::inject::SIDECAR;
use crate::inject::ours::{self, Shape};
use crate::inject::pods::Container;
use crate::readers::yaml::{Found, Kind};

impl Planner<'_> {
    pub(super) fn refuse(&self) -> Result<(), String> {
        if let Some(stuck) = &self.pod.stuck {
            return Err(stuck.clone());
        }
        if let Some(key) = self.pod.manifest.twice() {
            let name = key.text().unwrap_or_default();
            return Err(format!("line {}: `{name}` is there twice in one map; take one out", key.line));
        }
        self.refuse_system()?;
        self.refuse_network()?;
        self.refuse_shape()?;
        self.refuse_containers()
    }

    fn refuse_system(&self) -> Result<(), String> {
        let node = self.pod.document.at(self.pod.spec, &["nodeSelector", "kubernetes.io/os"]);
        let systems = [self.pod.text(&["os", "name"]), node.and_then(|node| node.text())];
        if systems.contains(&Some("windows")) {
            return Err("it is a Windows pod, and lameduck needs Linux; leave this workload out with --workload".into());
        }
        Ok(())
    }

    fn refuse_network(&self) -> Result<(), String> {
        if self.request.shape == Shape::Standalone {
            return Ok(());
        }
        let is_set = |key| self.pod.document.at(self.pod.spec, &[key]).is_some_and(|node| node.text() == Some("true"));
        if is_set("hostNetwork") {
            return Err("hostNetwork: true: the kubelet finds no pod address to call the hook at; take that out, or take --standalone".into());
        }
        if is_set("hostPID") {
            return Err("hostPID: true: Kubernetes refuses shareProcessNamespace beside it; take that out, or take --standalone".into());
        }
        let port = self.request.port;
        let lists = ["containers", "initContainers"].into_iter();
        let mut others = lists.flat_map(|list| self.pod.containers(list)).filter(|other| other.name != SIDECAR);
        match others.find(|other| ours::ports(self.pod, other).any(|taken| taken == port)) {
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
            Shape::Classic if matches!(self.pod.kind, "Job" | "CronJob") => {
                Err("a Job's pod would never complete beside an ordinary container that stays; leave --classic out"
                    .into())
            }
            Shape::Standalone if !self.picked.held.is_empty() => {
                Err("--hold: a standalone drain sees only its own container; leave one of --hold and --standalone out"
                    .into())
            }
            Shape::Native | Shape::Classic | Shape::Standalone => Ok(()),
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
