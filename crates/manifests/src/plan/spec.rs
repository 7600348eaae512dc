//! What the pod spec itself says: how long the pod may take to end, who sees whose processes, who runs it.

use super::{Missing, Planner, shared};
use crate::LARGEST_ID;
use crate::sidecar_spec::{self, User};
use crate::splice::Splice;
use crate::yaml::Found;
use crate::yaml_value::Part;

/// The kubelet's default for `terminationGracePeriodSeconds`.
const DEFAULT_GRACE_PERIOD: u64 = 30;

impl Planner<'_> {
    /// The pod's grace period, in seconds, after this.
    pub(super) fn grace_period(
        &self,
        splice: &mut Splice,
        missing: &mut Missing,
        told: &mut Vec<String>,
    ) -> Result<u64, String> {
        const KEY: &str = "terminationGracePeriodSeconds";
        let wanted = self.request.grace_period;
        let (place, node) = match self.find(self.pod.spec, KEY) {
            Found::Own(_, entry) => (Some(&entry.value), Some(self.pod.document.resolve(&entry.value))),
            Found::Merged(value) => (None, Some(self.pod.document.resolve(value))),
            Found::Absent => (None, None),
        };
        let Some(node) = node.filter(|node| !node.is_null()) else {
            match (wanted, place) {
                (Some(seconds), Some(null)) => splice.fill(null, &Part::bare(seconds), self.manner)?,
                (Some(seconds), None) => missing.push((KEY, Part::bare(seconds))),
                (None, _) => told.push(self.told(&format!(
                    "no {KEY}, so it is {DEFAULT_GRACE_PERIOD} s; longer streams are cut: set it with --grace-period"
                ))),
            }
            return Ok(wanted.unwrap_or(DEFAULT_GRACE_PERIOD));
        };
        let there =
            node.plain().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0'));
        let there: u64 = there.and_then(|text| text.parse().ok()).ok_or_else(|| {
            format!("line {}: {KEY} is no whole number of seconds above zero; write it like 1800", node.line)
        })?;
        match (wanted, place) {
            (Some(seconds), Some(place)) if seconds != there => {
                if self.pod.document.is_repeated(place) {
                    return Err(shared(place));
                }
                splice.replace(node.span.clone(), seconds.to_string());
                told.push(self.told(&format!("{KEY} was {there}, and is {seconds} now (--grace-period)")));
                Ok(seconds)
            }
            (Some(seconds), None) if seconds != there => Err(shared(node)),
            _ => Ok(there),
        }
    }

    /// Sees to it that the sidecar sees the target; says whether it does already.
    pub(super) fn share_processes(&self, missing: &mut Missing) -> Result<bool, String> {
        const KEY: &str = "shareProcessNamespace";
        let node = self.pod.document.get(self.pod.spec, KEY);
        match node {
            Some(node) if node.is_true() => Ok(true),
            _ if !self.request.signals() => Ok(false),
            None => {
                missing.push((KEY, Part::bare(true)));
                Ok(false)
            }
            Some(node) => Err(format!(
                "line {}: {KEY} is not true, and without it no sidecar can signal the main container; set it to true, or take --standalone",
                node.line
            )),
        }
    }

    /// Whom the sidecar must be to signal the target.
    pub(super) fn user(&self, told: &mut Vec<String>) -> Result<User, String> {
        let main = &self.picked.main;
        let id = |key: &str| {
            let of = |map| self.pod.document.at(map, &["securityContext", key]).filter(|node| !node.is_null());
            let node = of(main.node).or_else(|| of(self.pod.spec));
            node.map(|node| {
                // What begins with a zero is octal for those who read YAML 1.1.
                let plain = node.plain().filter(|text| *text == "0" || !text.starts_with('0'));
                let number = plain.and_then(|text| text.parse::<u32>().ok()).filter(|id| *id <= LARGEST_ID);
                number.ok_or_else(|| format!("line {}: {key} is no number; write it like 1000", node.line))
            })
            .transpose()
        };
        let said = id("runAsUser")?;
        if let (Some(said), Some(typed)) = (said, self.request.run_as_user)
            && said != typed
        {
            told.push(self.told(&format!("the sidecar runs as {said}, as the manifest says, not as {typed}")));
        }
        let anybody = (!self.request.signals()).then_some(sidecar_spec::NOBODY);
        let uid = said.or(self.request.run_as_user).or(anybody).ok_or_else(|| {
            format!(
                "the manifest does not say which user container {0} runs as, and only the same user may signal it; give it with --run-as-user (kubectl exec POD -c {0} -- id -u shows it in a running pod)",
                main.name
            )
        })?;
        Ok(User { uid, gid: id("runAsGroup")? })
    }
}
