//! Fields of the pod: its grace period, the shared process namespace, and the user of its main container.

use super::{Changes, Planner, shared};
use crate::request::{MAX_UID, Mode, RunAsUser};
use crate::sidecar_spec::{self, User};
use crate::yaml::{Entry, Lookup, Node};
use crate::yaml_value::YamlValue;

/// The kubelet's default for `terminationGracePeriodSeconds`.
const DEFAULT_GRACE_PERIOD: u64 = 30;

/// The field of the grace period.
pub(super) const GRACE_PERIOD: &str = "terminationGracePeriodSeconds";
/// The variables of the sidecar that say which signal it sends.
const SIGNAL: &str = "LAMEDUCK_SIGNAL";
const PRESET: &str = "LAMEDUCK_PRESET";
/// The preset whose default is no signal.
const PRESET_WITHOUT_SIGNAL: &str = "generic";
const NO_SIGNAL: &str = "none";

impl Planner<'_> {
    /// Sets the pod's grace period if one was requested; returns the resulting one, in seconds.
    pub(super) fn grace_period(&self, changes: &mut Changes) -> Result<u64, String> {
        let (own, node) = match self.lookup(self.pod.spec, GRACE_PERIOD) {
            Lookup::Own(_, entry) => (Some(entry), Some(self.pod.document.resolve(&entry.value))),
            Lookup::Merged(value) => (None, Some(self.pod.document.resolve(value))),
            Lookup::Absent => (None, None),
        };
        let Some(node) = node.filter(|node| !node.is_null()) else {
            return self.first_grace_period(own.map(|entry| &entry.value), changes);
        };
        let digits =
            node.plain().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0'));
        let current = digits.and_then(|text| text.parse::<u64>().ok());
        let Some(seconds) = self.request.grace_period else {
            return current.ok_or_else(|| {
                format!(
                    "line {}: {GRACE_PERIOD} is not a whole number of seconds above zero; write it like 1800, or replace it with --grace-period",
                    node.line
                )
            });
        };
        match own {
            _ if current == Some(seconds) => {}
            Some(entry) => self.replace_grace_period(entry, seconds, changes)?,
            // An entry of the pod itself overrides a merged one.
            None => changes.spec_entries.push((GRACE_PERIOD, YamlValue::bare(seconds))),
        }
        Ok(seconds)
    }

    fn replace_grace_period(&self, entry: &Entry, seconds: u64, changes: &mut Changes) -> Result<(), String> {
        if let Some(node) = self.pod.document.shared_part(&entry.value) {
            return Err(shared(node));
        }
        changes.edits.rewrite_entry(self.pod.spec, entry, GRACE_PERIOD, &YamlValue::bare(seconds));
        Ok(())
    }

    /// The grace period of a pod that does not set one; its value may be null.
    fn first_grace_period(&self, null: Option<&Node>, changes: &mut Changes) -> Result<u64, String> {
        let Some(seconds) = self.request.grace_period else {
            changes.warn(format!(
                "no {GRACE_PERIOD}, so it is {DEFAULT_GRACE_PERIOD} s; longer streams are cut: set it with --grace-period"
            ));
            return Ok(DEFAULT_GRACE_PERIOD);
        };
        match null {
            Some(null) => changes.edits.fill(null, &YamlValue::bare(seconds))?,
            None => changes.spec_entries.push((GRACE_PERIOD, YamlValue::bare(seconds))),
        }
        Ok(seconds)
    }

    /// Shares the process namespace, so that the sidecar sees the target. An annotation records what the field was
    /// before.
    pub(super) fn share_processes(&self, changes: &mut Changes) -> Result<(), String> {
        const KEY: &str = "shareProcessNamespace";
        let found = self.lookup(self.pod.spec, KEY);
        let node = match found {
            Lookup::Own(_, entry) => Some(self.pod.document.resolve(&entry.value)),
            Lookup::Merged(value) => Some(self.pod.document.resolve(value)),
            Lookup::Absent => None,
        };
        if node.is_some_and(Node::is_true) {
            let is_first = self.existing.container.is_none();
            changes.annotations.extend(is_first.then(|| sidecar_spec::namespace_annotation("true")));
            return Ok(());
        }
        if self.signal().is_none() {
            return Ok(());
        }
        match (found, node) {
            (_, Some(node)) if !node.is_null() => {
                return Err(format!(
                    "line {}: {KEY} is not true, and without it no sidecar can signal the main container; set it to true, or use --signal none or --standalone",
                    node.line
                ));
            }
            (Lookup::Own(_, entry), _) if !self.pod.document.is_aliased(&entry.value) => {
                changes.edits.fill(&entry.value, &YamlValue::bare(true))?;
                let spelling = entry.value.text().unwrap_or_default();
                changes.annotations.push(sidecar_spec::namespace_annotation(spelling));
            }
            (Lookup::Own(_, entry), _) => return Err(shared(&entry.value)),
            (Lookup::Merged(_) | Lookup::Absent, _) => changes.spec_entries.push((KEY, YamlValue::bare(true))),
        }
        changes
            .note(format!("{KEY} is now true: the containers see each other's processes, and none of them is PID 1"));
        self.warn_of_s6(changes);
        Ok(())
    }

    /// The user that the sidecar must run as to signal the target.
    pub(super) fn user(&self, changes: &mut Changes) -> Result<User, String> {
        let (given, name) = (self.request.run_as_user, self.selection.main.name);
        let uid = match (self.user_id("runAsUser"), given) {
            (Ok(uid), _) => uid,
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => {
                changes.warn(format!("{error}; the sidecar's user is that of --run-as-user"));
                None
            }
        };
        if let (Some(uid), Some(given)) = (uid, given)
            && RunAsUser::Uid(uid) != given
        {
            let given = match given {
                RunAsUser::Uid(given) => given.to_string(),
                RunAsUser::Assigned => "assigned by the cluster".to_owned(),
            };
            changes.note(format!("the sidecar runs as {uid}, as set in the manifest, not as {given}"));
        }
        let uid = match (uid, given, self.signal()) {
            (Some(uid), _, _) | (None, Some(RunAsUser::Uid(uid)), _) => Some(uid),
            (None, Some(RunAsUser::Assigned), _) => None,
            (None, None, None) => Some(sidecar_spec::NON_ROOT_UID),
            (None, None, Some(_)) => {
                return Err(format!(
                    "the manifest does not set the user of container {name}, and only the same user may signal it; give it with --run-as-user (kubectl exec POD -c {name} -- id -u shows it in a running pod), or write --run-as-user none if the cluster assigns it, as OpenShift does"
                ));
            }
        };
        Ok(User { uid, gid: self.user_id("runAsGroup")? })
    }

    /// An id from the security context of the main container, or else of the pod.
    fn user_id(&self, key: &str) -> Result<Option<u32>, String> {
        let of = |map| self.pod.document.get_path(map, &["securityContext", key]).filter(|node| !node.is_null());
        let node = of(self.selection.main.node).or_else(|| of(self.pod.spec));
        node.map(|node| {
            // YAML 1.1 reads a number with a leading zero as octal.
            let plain = node.plain().filter(|text| *text == "0" || !text.starts_with('0'));
            let number = plain.and_then(|text| text.parse::<u32>().ok()).filter(|id| *id <= MAX_UID);
            number.ok_or_else(|| format!("line {}: {key} is not a valid id; write it like 1000", node.line))
        })
        .transpose()
    }

    /// The signal that the sidecar sends: by the settings of this run, or else by those that an earlier run wrote.
    pub(super) fn signal(&self) -> Option<&str> {
        let variable = |name| self.existing.variable(self.pod, name).filter(|_| self.request.mode != Mode::Standalone);
        let earlier = variable(SIGNAL).or_else(|| match variable(PRESET) {
            Some(PRESET_WITHOUT_SIGNAL) if !self.request.sets("preset") => Some(NO_SIGNAL),
            Some(_) | None => None,
        });
        match earlier.filter(|_| !self.request.sets("signal")) {
            Some(signal) => Some(signal).filter(|signal| !signal.trim().eq_ignore_ascii_case(NO_SIGNAL)),
            None => self.request.signal.as_deref(),
        }
    }

    /// Whether a user chose the signal, rather than a preset.
    pub(super) fn is_signal_explicit(&self) -> bool {
        self.request.sets("signal") || self.existing.variable(self.pod, SIGNAL).is_some()
    }
}
