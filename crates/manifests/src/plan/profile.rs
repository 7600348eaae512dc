//! What the main container's own settings mean for the sidecar: its AppArmor profile, its stop signal and its init
//! process.

use super::{Changes, Planner};
use crate::pods::Container;
use crate::select::repository;
use crate::sidecar_spec::{self, AppArmorProfile};
use crate::yaml::Node;

/// Publishers whose images start with s6-overlay (linuxserver/docker-baseimage-ubuntu, jitsi/docker-jitsi-meet).
const S6_PUBLISHERS: [&str; 2] = ["linuxserver", "jitsi"];
/// The init process of s6-overlay.
const S6_INIT: &str = "/init";
/// The AppArmor profile that confines nothing, as a field and as an annotation.
const UNCONFINED: &str = "Unconfined";

impl Planner<'_> {
    /// The AppArmor profile that the sidecar needs to signal the target: the main container's own.
    pub(super) fn app_armor(&self, changes: &mut Changes) -> Option<AppArmorProfile> {
        self.signal()?;
        let (main, document) = (&self.selection.main, self.pod.document);
        let context = |path: &[&str]| document.get_path(main.node, path).filter(|node| !node.is_null());
        let text = |key| context(&["securityContext", "appArmorProfile", key]).and_then(Node::text).map(str::to_owned);
        let field = text("type").map(|kind| AppArmorProfile { kind, localhost: text("localhostProfile") });
        let annotation = sidecar_spec::app_armor_annotation(self.pod, main.name);
        let profile = field.as_ref().map(|profile| profile.kind.as_str()).or(annotation);
        let name = main.name;
        if profile.is_some_and(|profile| profile.eq_ignore_ascii_case(UNCONFINED)) {
            changes.warn(format!(
                "AppArmor does not confine container {name}, so it does not confine the sidecar either: otherwise it may refuse the sidecar's signal (EACCES)"
            ));
        } else if profile.is_none() && context(&["securityContext", "privileged"]).is_some_and(Node::is_true) {
            changes.warn(format!(
                "container {name} is privileged, so AppArmor does not confine it and may refuse the sidecar's signal (EACCES) on nodes that use it; there, add appArmorProfile: {{type: Unconfined}} to the sidecar's securityContext, or set --signal none"
            ));
        }
        if field.is_none() {
            changes.annotations.extend(annotation.map(sidecar_spec::own_app_armor_annotation));
        }
        field
    }

    /// Warns if the main container declares another stop signal than the preset's.
    pub(super) fn compare_stop_signal(&self, changes: &mut Changes) {
        let main = &self.selection.main;
        let declared = self.pod.document.get_path(main.node, &["lifecycle", "stopSignal"]).and_then(Node::text);
        let (Some(declared), Some(signal), false) = (declared, self.signal(), self.is_signal_explicit()) else {
            return;
        };
        if declared != signal {
            changes.warn(format!(
                "container {} declares stopSignal: {declared}, but lameduck sends {signal}; add --signal with the signal on which it drains",
                main.name
            ));
        }
    }

    /// Warns of containers that cannot run in a shared process namespace.
    pub(super) fn warn_of_s6(&self, changes: &mut Changes) {
        for container in self.pod.containers("containers").iter().filter(|container| self.starts_s6(container)) {
            changes.warn(format!(
                "container {} probably starts with s6-overlay, which must be PID 1 and is not in a shared process namespace; use --standalone or --signal none",
                container.name
            ));
        }
    }

    fn starts_s6(&self, container: &Container) -> bool {
        let document = self.pod.document;
        let command = document.get(container.node, "command").map_or(&[][..], Node::items);
        let first = command.first().and_then(|word| document.resolve(word).text());
        let image = document.get(container.node, "image").and_then(Node::text).map(repository).unwrap_or_default();
        let is_known = image.split('/').any(|part| S6_PUBLISHERS.contains(&part));
        first == Some(S6_INIT) || first.is_none() && is_known
    }
}
