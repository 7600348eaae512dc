//! Fields of the pod: its grace period, the shared process namespace, and the user of its main container.

use super::{Changes, NewEntry, Planner, shared};
use crate::request::MAX_UID;
use crate::sidecar_spec::{self, User};
use crate::text_edit::TextEdits;
use crate::yaml::{Kind, Lookup, Node};
use crate::yaml_value::YamlValue;

/// The kubelet's default for `terminationGracePeriodSeconds`.
const DEFAULT_GRACE_PERIOD: u64 = 30;

/// The field of the grace period.
const GRACE_PERIOD: &str = "terminationGracePeriodSeconds";

impl<'a> Planner<'a> {
    /// Sets the pod's grace period if one was requested; returns the resulting one, in seconds.
    pub(super) fn grace_period(&self, changes: &mut Changes) -> Result<u64, String> {
        let (own, node) = match self.lookup(self.pod.spec, GRACE_PERIOD) {
            Lookup::Own(_, entry) => (Some(&entry.value), Some(self.pod.document.resolve(&entry.value))),
            Lookup::Merged(value) => (None, Some(self.pod.document.resolve(value))),
            Lookup::Absent => (None, None),
        };
        let Some(node) = node.filter(|node| !node.is_null()) else { return self.first_grace_period(own, changes) };
        let digits =
            node.plain().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0'));
        let current: u64 = digits.and_then(|text| text.parse().ok()).ok_or_else(|| {
            format!(
                "line {}: {GRACE_PERIOD} is not a whole number of seconds above zero; write it like 1800",
                node.line
            )
        })?;
        match (self.request.grace_period.filter(|seconds| *seconds != current), own) {
            (None, _) => Ok(current),
            (Some(seconds), Some(own)) if !self.pod.document.is_aliased(own) => {
                changes.edits.replace(node.span.clone(), seconds.to_string());
                changes.messages.push(format!("{GRACE_PERIOD} was {current} and is now {seconds} (--grace-period)"));
                Ok(seconds)
            }
            (Some(_), own) => Err(shared(own.unwrap_or(node))),
        }
    }

    /// The grace period of a pod that does not set one; its value may be null.
    fn first_grace_period(&self, null: Option<&Node>, changes: &mut Changes) -> Result<u64, String> {
        let Some(seconds) = self.request.grace_period else {
            changes.messages.push(format!(
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

    /// Shares the process namespace, so that the sidecar sees the target. If it was shared before lameduck came, an
    /// annotation records that.
    pub(super) fn share_processes(&self, changes: &mut Changes) -> Result<(), String> {
        const KEY: &str = "shareProcessNamespace";
        match self.pod.document.get(self.pod.spec, KEY) {
            Some(node) if node.is_true() && self.existing.container.is_none() => {
                self.annotate_was_shared(changes.edits)
            }
            Some(node) if node.is_true() => Ok(()),
            _ if !self.request.sends_signal() => Ok(()),
            None => {
                changes.spec_entries.push((KEY, YamlValue::bare(true)));
                Ok(())
            }
            Some(node) => Err(format!(
                "line {}: {KEY} is not true, and without it no sidecar can signal the main container; set it to true, or use --standalone",
                node.line
            )),
        }
    }

    fn annotate_was_shared(&self, edits: &mut TextEdits) -> Result<(), String> {
        let annotation = sidecar_spec::was_shared_annotation();
        let annotations = ("annotations", YamlValue::Map(vec![annotation.clone()]));
        let metadata = ("metadata", YamlValue::Map(vec![annotations.clone()]));
        let template = self.pod.template;
        let before_spec = match self.lookup(template, "spec") {
            Lookup::Own(index, _) => index,
            Lookup::Merged(_) | Lookup::Absent => 0,
        };
        let Some(metadata) = self.own_map(template, before_spec, metadata, edits)? else { return Ok(()) };
        let Some(annotations) = self.own_map(metadata, 0, annotations, edits)? else { return Ok(()) };
        match sidecar_spec::find_was_shared(self.pod, annotations) {
            Lookup::Absent => edits.insert(annotations, 0, &[annotation]),
            Lookup::Own(..) | Lookup::Merged(_) => Ok(()),
        }
    }

    /// The map under a key. If there is none, writes the given entry instead, and returns `None`.
    fn own_map(
        &self,
        map: &'a Node,
        before: usize,
        (key, value): NewEntry,
        edits: &mut TextEdits,
    ) -> Result<Option<&'a Node>, String> {
        match self.lookup(map, key) {
            Lookup::Absent => edits.insert(map, before, &[(key, value)]).map(|()| None),
            Lookup::Merged(node) => Err(shared(node)),
            Lookup::Own(_, entry) if self.pod.document.is_aliased(&entry.value) => Err(shared(&entry.value)),
            Lookup::Own(_, entry) if entry.value.is_null() => edits.fill(&entry.value, &value).map(|()| None),
            Lookup::Own(_, entry) if matches!(entry.value.kind, Kind::Map { .. }) => Ok(Some(&entry.value)),
            Lookup::Own(_, entry) => Err(format!("line {}: {key} is not a map; fix that first", entry.value.line)),
        }
    }

    /// The user that the sidecar must run as to signal the target.
    pub(super) fn user(&self, messages: &mut Vec<String>) -> Result<User, String> {
        let main = &self.selection.main;
        let uid = self.user_id("runAsUser")?;
        if let (Some(uid), Some(given)) = (uid, self.request.run_as_user)
            && uid != given
        {
            messages.push(format!("the sidecar runs as {uid}, as set in the manifest, not as {given}"));
        }
        let any = (!self.request.sends_signal()).then_some(sidecar_spec::NON_ROOT_UID);
        let uid = uid.or(self.request.run_as_user).or(any).ok_or_else(|| {
            format!(
                "the manifest does not set the user of container {0}, and only the same user may signal it; give it with --run-as-user (kubectl exec POD -c {0} -- id -u shows it in a running pod)",
                main.name
            )
        })?;
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
}
