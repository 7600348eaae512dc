//! Messages about probes of the hooked containers.

use super::Planner;
use super::spec::GRACE_PERIOD;

impl Planner<'_> {
    /// Messages about probes with a grace period of their own: after such a probe has failed, the kubelet gives the hook
    /// only that time, and lameduck cannot know it. An equal one does no harm.
    pub(super) fn probe_grace_periods(&self, of_pod: u64) -> Vec<String> {
        let document = &self.pod.document;
        let of_probe = |node, probe| {
            let seconds = document.get_path(node, &[probe, GRACE_PERIOD])?;
            let text = seconds.text().filter(|text| text.parse() != Ok(of_pod))?;
            Some((seconds.line, probe, text))
        };
        let mut messages = Vec::new();
        for container in self.selection.containers() {
            for (line, probe, text) in
                ["livenessProbe", "startupProbe"].into_iter().filter_map(|probe| of_probe(container.node, probe))
            {
                messages.push(format!(
                    "line {line}: the {probe} of container {} has its own {GRACE_PERIOD}: {text}; after it fails, a drain has only {text} s instead of {of_pod} s, and lameduck does not know it: remove it, or make it equal to the pod's",
                    container.name
                ));
            }
        }
        messages
    }
}
