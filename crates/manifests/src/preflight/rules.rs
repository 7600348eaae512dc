//! The rules, by what they look at.

use super::pod::PodView;
use super::rule::{Evaluation, Finding, Rule};

mod grace;
mod hook;
mod hook_call;
mod network;
mod probes;
mod process;
mod quantity;
mod settings;
mod sidecar;
mod spec;

/// The longest text of a finding, in characters.
const MAX_LENGTH: usize = 600;

/// Applies a rule to a pod. A rule that does not concern the pod finds nothing.
pub(super) fn apply(rule: Rule, pod: &PodView) -> Vec<Finding> {
    let evaluations = match rule {
        Rule::Sidecar => sidecar::presence(pod),
        Rule::RestartPolicy => sidecar::restart_policy(pod),
        Rule::Image => sidecar::image(pod),
        Rule::Settings => settings::accepted(pod),
        Rule::Variables => settings::variables(pod),
        Rule::OnSigterm => settings::on_sigterm(pod),
        Rule::GracePeriod => grace::equality(pod),
        Rule::Autoscaler => grace::autoscaler(pod),
        Rule::Hook => hook::presence(pod),
        Rule::HookPath => hook_call::path(pod),
        Rule::HookPort => hook_call::port(pod),
        Rule::HookAddress => hook_call::address(pod),
        Rule::HookToken => hook_call::token(pod),
        Rule::SidecarHook => hook::on_sidecar(pod),
        Rule::Binary => hook::binary(pod),
        Rule::StartupProbe => probes::startup(pod),
        Rule::ReadinessProbe => probes::readiness(pod),
        Rule::ReadinessDelay => probes::readiness_delay(pod),
        Rule::LivenessProbe => probes::liveness(pod),
        Rule::ProbeGracePeriod => probes::grace_period(pod),
        Rule::PidNamespace => process::namespace(pod),
        Rule::Uid => process::uid(pod),
        Rule::Gid => process::gid(pod),
        Rule::Port => network::port(pod),
        Rule::HostNetwork => network::host_network(pod),
        Rule::Resources => spec::resources(pod),
        Rule::TerminationMessage => spec::termination_message(pod),
    };
    let finding = |(evaluation, detail): (Evaluation, String)| {
        let evaluation = match evaluation {
            Evaluation::Warn { fix } => Evaluation::Warn { fix: shorten(fix) },
            Evaluation::Fail { fix } => Evaluation::Fail { fix: shorten(fix) },
            other @ (Evaluation::Pass | Evaluation::Skip) => other,
        };
        Finding { rule, evaluation, detail: shorten(detail) }
    };
    evaluations.into_iter().map(finding).collect()
}

/// Cuts a text that quotes a long value.
fn shorten(text: String) -> String {
    match text.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
