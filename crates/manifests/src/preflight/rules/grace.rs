//! Grace periods.

use crate::preflight::pod::{DEFAULT_GRACE_PERIOD, PodView};
use crate::preflight::rule::{Evaluated, fail, pass, skip, warn};
use crate::preflight::settings::GracePeriod;

/// The field of the pod's grace period.
const FIELD: &str = "terminationGracePeriodSeconds";
/// The default of the cluster autoscaler's `--max-graceful-termination-sec`, in seconds.
const AUTOSCALER_LIMIT: u64 = 600;

/// The pod and lameduck have the same grace period.
pub(super) fn equality(pod: &PodView) -> Vec<Evaluated> {
    if pod.invocation.is_none() {
        return Vec::new();
    }
    let field = pod.spec.get(FIELD);
    let Some(of_pod) = pod.grace_period() else {
        let (line, text) = field.map_or((0, ""), |field| (field.line(), field.text().unwrap_or("a list or a map")));
        return vec![fail(
            format!("line {line}: {FIELD} is {text}, which is not a whole number of seconds"),
            "write it like 3600, without quotes",
        )];
    };
    let source = if field.is_none() { " (Kubernetes' default: the manifest sets none)" } else { "" };
    vec![match pod.settings.grace_period {
        None => skip(format!("the pod's is {of_pod} s{source}; lameduck's is not known from the manifest")),
        Some(GracePeriod::NotSet) => {
            skip(format!("the pod's is {of_pod} s{source}; lameduck's is not set (see settings)"))
        }
        Some(GracePeriod::Set(own)) if own.as_secs() == of_pod && own.subsec_nanos() == 0 => {
            pass(format!("{of_pod} s, for the pod and for lameduck"))
        }
        Some(GracePeriod::Set(own)) => fail(
            format!("lameduck's is {} s, but the pod's is {of_pod} s{source}", own.as_secs_f64()),
            mismatch_fix(own.as_secs(), of_pod),
        ),
    }]
}

fn mismatch_fix(own: u64, of_pod: u64) -> String {
    let consequence = if own > of_pod {
        "the kubelet would end the pod before lameduck's deadline"
    } else {
        "lameduck would end the drain earlier than necessary"
    };
    format!("set both to the duration of the longest stream: {consequence}")
}

/// The cluster autoscaler caps the grace period when it removes a node.
pub(super) fn autoscaler(pod: &PodView) -> Vec<Evaluated> {
    let of_pod = pod.grace_period().unwrap_or(DEFAULT_GRACE_PERIOD);
    if of_pod <= AUTOSCALER_LIMIT {
        return vec![pass(format!(
            "{of_pod} s is within the cluster autoscaler's default limit of {AUTOSCALER_LIMIT} s"
        ))];
    }
    vec![warn(
        format!("the cluster autoscaler shortens {of_pod} s to {AUTOSCALER_LIMIT} s by default when it removes a node"),
        format!("if it runs in this cluster, set its --max-graceful-termination-sec to at least {of_pod}"),
    )]
}
