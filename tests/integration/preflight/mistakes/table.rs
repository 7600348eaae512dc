//! The mistakes.

use lameduck_manifests::preflight::Rule;

use crate::preflight::support::Base::{self, Classic, Native, Standalone, TwoContainers};
use crate::preflight::support::Change;

const HOOK: &str = "containers/deepgram-engine/lifecycle/preStop";

/// A mistake: the rule that must find it, the manifest, the changes, and a part of what the finding says.
pub(super) type Mistake = (Rule, Base, &'static [Change], &'static str);

/// Mistakes in the sidecar's container, and in its settings.
pub(super) const SIDECAR: &[Mistake] = &[
    (Rule::Sidecar, Native, &[("initContainers", "")], "no container runs it"),
    (
        Rule::Sidecar,
        Native,
        &[(
            "containers/second",
            "{name: second, image: 'a/lameduck:1', args: [sidecar, --grace-period=600, '--listen=[::]:9000'], resources: {limits: {cpu: 1, memory: 1Mi}}}",
        )],
        "both run the sidecar",
    ),
    (Rule::RestartPolicy, Native, &[("initContainers/lameduck/restartPolicy", "")], "waits forever for it to exit"),
    (
        Rule::RestartPolicy,
        Native,
        &[("initContainers/lameduck/restartPolicy", "OnFailure")],
        "waits forever for it to exit",
    ),
    (Rule::RestartPolicy, Standalone, &[("initContainers/lameduck/restartPolicy", "Always")], "repeats it forever"),
    (Rule::Image, Native, &[("initContainers/lameduck/image", "registry.example.com:5000/lameduck")], "has no tag"),
    (Rule::Image, Native, &[("initContainers/lameduck/image", "lameduck:latest")], "latest can point to another image"),
    (Rule::Image, Standalone, &[("initContainers/lameduck/image", "lameduck")], "has no tag"),
    (Rule::Settings, Native, &[("initContainers/lameduck/args", "[sidecarr]")], "lameduck has no command sidecarr"),
    (Rule::Settings, Native, &[("initContainers/lameduck/args", "")], "without a command"),
    (Rule::Settings, Native, &[("initContainers/lameduck/args/1", "--signal=SIGFOO")], "'SIGFOO'"),
    (Rule::Settings, Native, &[("initContainers/lameduck/args/1", "--lame-duk=5s")], "--lame-duk"),
    (Rule::Settings, Native, &[("initContainers/lameduck/args/1", "--signal")], "--signal"),
    (
        Rule::Settings,
        Native,
        &[("initContainers/lameduck/env/LAMEDUCK_STREAMS", "{name: LAMEDUCK_STREAMS, value: 'up{'}")],
        "LAMEDUCK_STREAMS: ",
    ),
    (
        Rule::Settings,
        Native,
        &[("initContainers/lameduck/env/LAMEDUCK_EXIT_MARGIN", "{name: LAMEDUCK_EXIT_MARGIN, value: 20m}")],
        "--exit-margin 1200s",
    ),
    (
        Rule::Settings,
        Native,
        &[("initContainers/lameduck/env/LAMEDUCK_GRACE_PERIOD", "")],
        "--grace-period is required",
    ),
    (
        Rule::Settings,
        Standalone,
        &[("containers/deepgram-engine/lifecycle/preStop/exec/command/5", "--idle-after=1m")],
        "--idle-after is not supported",
    ),
    (
        Rule::Variables,
        Native,
        &[("initContainers/lameduck/env/1", "{name: LAMEDUCK_SIGNALS, value: SIGTERM}")],
        "LAMEDUCK_SIGNALS is not a setting",
    ),
    (
        Rule::Variables,
        Native,
        &[("initContainers/lameduck/env/1", "{name: LAMEDUCK_STREAM_PORT, value: '8080'}")],
        "LAMEDUCK_STREAM_PORT is not a setting",
    ),
    (
        Rule::Variables,
        Native,
        &[("initContainers/lameduck/env/LAMEDUCK_GRACE_PERIOD/value", "600")],
        "is a number or a boolean",
    ),
    (Rule::OnSigterm, Classic, &[("containers/lameduck/args/1", "--on-sigterm=exit")], "would exit and end the hook"),
    (Rule::Resources, Native, &[("initContainers/lameduck/resources", "")], "may kill it first"),
    (
        Rule::Resources,
        Native,
        &[
            ("initContainers/lameduck/resources/limits/memory", "64Mi"),
            ("containers/deepgram-engine/resources/requests/cpu", "8"),
            ("containers/deepgram-engine/resources/requests/memory", "40Gi"),
        ],
        "makes a Guaranteed pod Burstable",
    ),
    (
        Rule::TerminationMessage,
        Native,
        &[("initContainers/lameduck/terminationMessagePolicy", "")],
        "only exit code 64",
    ),
];

/// Mistakes in hooks.
pub(super) const HOOKS: &[Mistake] = &[
    (Rule::Hook, Standalone, &[("containers/deepgram-engine/lifecycle", "")], "has no preStop hook"),
    (Rule::Hook, Standalone, &[(HOOK, "{sleep: {seconds: 30}}")], "only sleeps"),
    (Rule::Hook, Native, &[("containers/deepgram-engine/lifecycle", "")], "has no preStop hook"),
    (Rule::Hook, Native, &[(HOOK, "{sleep: {seconds: 30}}")], "only sleeps"),
    (Rule::Hook, Native, &[(HOOK, "{exec: {command: [sleep, '30']}}")], "runs another command"),
    (Rule::Hook, Native, &[(HOOK, "{httpGet: {path: /quit, port: 8080}}")], "calls /quit, not lameduck"),
    (Rule::Hook, Native, &[(HOOK, "{exec: {command: [/opt/lameduck, drain]}}")], "without --hook"),
    (
        Rule::Hook,
        Native,
        &[(HOOK, "{exec: {command: [/opt/lameduck, drain, --hook, --standalone, --grace-period=600]}}")],
        "signalled twice",
    ),
    (
        Rule::HookPath,
        Native,
        &[("containers/deepgram-engine/lifecycle/preStop/httpGet/path", "/preStop")],
        "answers with 404",
    ),
    (Rule::HookPath, Native, &[("containers/deepgram-engine/lifecycle/preStop/httpGet/path", "")], "calls /,"),
    (
        Rule::HookPath,
        TwoContainers,
        &[("containers/proxy/lifecycle/preStop/httpGet/path", "/drain")],
        "the hook of proxy calls /drain",
    ),
    (
        Rule::HookPort,
        Native,
        &[("containers/deepgram-engine/lifecycle/preStop/httpGet/port", "lameduck")],
        "only among the ports of deepgram-engine",
    ),
    (
        Rule::HookPort,
        Native,
        &[("containers/deepgram-engine/lifecycle/preStop/httpGet/port", "primary")],
        "calls port 8080",
    ),
    (
        Rule::HookPort,
        Native,
        &[("containers/deepgram-engine/lifecycle/preStop/httpGet/port", "8098")],
        "calls port 8098",
    ),
    (Rule::HookPort, Native, &[("containers/deepgram-engine/lifecycle/preStop/httpGet/port", "'8089'")], "as a string"),
    (
        Rule::HookPort,
        TwoContainers,
        &[("containers/proxy/lifecycle/preStop/httpGet/port", "8090")],
        "the hook of proxy calls port 8090",
    ),
    (
        Rule::HookPort,
        Native,
        &[(HOOK, "{exec: {command: [/opt/lameduck, drain, --hook, '--address=127.0.0.1:9000']}}")],
        "calls port 9000",
    ),
    (
        Rule::HookAddress,
        Native,
        &[("containers/deepgram-engine/lifecycle/preStop/httpGet/host", "127.0.0.1")],
        "from the node, not in the pod",
    ),
    (Rule::HookAddress, Native, &[("containers/deepgram-engine/lifecycle/preStop/httpGet/scheme", "HTTPS")], "no TLS"),
    (
        Rule::HookToken,
        Native,
        &[("initContainers/lameduck/args/1", "--token-file=/token/token")],
        "no Authorization header",
    ),
    (
        Rule::SidecarHook,
        Native,
        &[("initContainers/lameduck/lifecycle", "{preStop: {httpGet: {path: /prestop, port: 8089}}}")],
        "delays only the sidecar's own",
    ),
    (Rule::Binary, Standalone, &[("containers/deepgram-engine/volumeMounts", "")], "does not mount the volume"),
    (
        Rule::Binary,
        Standalone,
        &[("containers/deepgram-engine/volumeMounts/lameduck/mountPath", "/lame")],
        "does not mount the volume",
    ),
];

/// Mistakes in probes, times, users and the network.
pub(super) const PODS: &[Mistake] = &[
    (
        Rule::GracePeriod,
        Native,
        &[("terminationGracePeriodSeconds", "60")],
        "lameduck's is 600 s, but the pod's is 60 s",
    ),
    (Rule::GracePeriod, Native, &[("terminationGracePeriodSeconds", "")], "but the pod's is 30 s"),
    (Rule::GracePeriod, Native, &[("terminationGracePeriodSeconds", "'600'")], "not a whole number"),
    (
        Rule::GracePeriod,
        Native,
        &[("initContainers/lameduck/env/LAMEDUCK_GRACE_PERIOD/value", "30m")],
        "lameduck's is 1800 s",
    ),
    (Rule::GracePeriod, Native, &[("initContainers/lameduck/args/1", "--grace-period=5m")], "lameduck's is 300 s"),
    (
        Rule::GracePeriod,
        Standalone,
        &[("containers/deepgram-engine/lifecycle/preStop/exec/command/4", "--grace-period=599")],
        "lameduck's is 599 s",
    ),
    (
        Rule::Autoscaler,
        Native,
        &[
            ("terminationGracePeriodSeconds", "601"),
            ("initContainers/lameduck/env/LAMEDUCK_GRACE_PERIOD/value", "'601'"),
        ],
        "shortens 601 s to 600 s",
    ),
    (Rule::StartupProbe, Native, &[("initContainers/lameduck/startupProbe/httpGet/path", "/readyz")], "stays in Init"),
    (Rule::StartupProbe, Native, &[("initContainers/lameduck/startupProbe/httpGet/path", "/healthz")], "404"),
    (Rule::StartupProbe, Native, &[("initContainers/lameduck/startupProbe/httpGet/port", "8098")], "calls port 8098"),
    (
        Rule::StartupProbe,
        Native,
        &[("initContainers/lameduck/startupProbe/httpGet/port", "primary")],
        "no port named primary",
    ),
    (Rule::StartupProbe, Native, &[("initContainers/lameduck/startupProbe", "")], "before the sidecar answers"),
    (
        Rule::StartupProbe,
        Native,
        &[("initContainers/lameduck/startupProbe", "{exec: {command: [/lameduck, status, --ready]}}")],
        "stays in Init",
    ),
    (Rule::ReadinessProbe, Native, &[("initContainers/lameduck/readinessProbe/httpGet/path", "/livez")], "stays ready"),
    (
        Rule::ReadinessProbe,
        Native,
        &[("initContainers/lameduck/readinessProbe/httpGet/path", "/accepting")],
        "deletes unready pods first",
    ),
    (Rule::ReadinessProbe, Native, &[("initContainers/lameduck/readinessProbe/httpGet/path", "/ready")], "404"),
    (
        Rule::ReadinessProbe,
        Native,
        &[("initContainers/lameduck/readinessProbe/httpGet/port", "8080")],
        "calls port 8080",
    ),
    (Rule::ReadinessProbe, Native, &[("initContainers/lameduck/readinessProbe", "")], "has none"),
    (
        Rule::ReadinessProbe,
        Classic,
        &[
            ("containers/lameduck/readinessProbe/httpGet", ""),
            ("containers/lameduck/readinessProbe/tcpSocket", "{port: 8089}"),
        ],
        "TCP connection",
    ),
    (Rule::StartupProbe, Native, &[("initContainers/lameduck/startupProbe/httpGet/scheme", "HTTPS")], "no TLS"),
    (Rule::ReadinessProbe, Native, &[("initContainers/lameduck/readinessProbe/httpGet/scheme", "HTTPS")], "no TLS"),
    (Rule::ReadinessDelay, Native, &[("initContainers/lameduck/readinessProbe/periodSeconds", "")], "is 10 s"),
    (Rule::ReadinessDelay, Native, &[("initContainers/lameduck/readinessProbe/periodSeconds", "5")], "is 5 s"),
    (
        Rule::ReadinessDelay,
        Native,
        &[
            ("initContainers/lameduck/args", "[sidecar, --unready-after=3s]"),
            ("initContainers/lameduck/readinessProbe/periodSeconds", "2"),
        ],
        "the signal is sent 2s after the pod turns unready",
    ),
    (
        Rule::LivenessProbe,
        Native,
        &[("initContainers/lameduck/livenessProbe", "{httpGet: {path: /livez, port: 8089}}")],
        "also during a drain",
    ),
    (
        Rule::ProbeGracePeriod,
        Native,
        &[("containers/deepgram-engine/livenessProbe/terminationGracePeriodSeconds", "30")],
        "own grace period of 30 s",
    ),
    (Rule::PidNamespace, Native, &[("shareProcessNamespace", "")], "is missing"),
    (Rule::PidNamespace, Native, &[("shareProcessNamespace", "false")], "is not true"),
    (Rule::PidNamespace, Native, &[("shareProcessNamespace", "'true'")], "is not true"),
    (
        Rule::Uid,
        Native,
        &[("initContainers/lameduck/securityContext/runAsUser", "65532")],
        "runs as uid 65532, but deepgram-engine as uid 1000",
    ),
    (
        Rule::Uid,
        Native,
        &[("containers/deepgram-engine/securityContext/runAsUser", "0")],
        "but deepgram-engine as uid 0",
    ),
    (
        Rule::Gid,
        Native,
        &[
            ("initContainers/lameduck/args/1", "--target-port=8080"),
            ("initContainers/lameduck/securityContext/runAsGroup", "65532"),
        ],
        "as gid 1000",
    ),
    (Rule::Port, Native, &[("containers/deepgram-engine/ports/0", "{containerPort: 8089}")], "declares port 8089 too"),
    (Rule::Port, Native, &[("initContainers/lameduck/args/1", "--listen=127.0.0.1:8089")], "loopback address"),
    (Rule::Port, Native, &[("initContainers/lameduck/ports/lameduck/containerPort", "8090")], "its ports declare 8090"),
    (
        Rule::HostNetwork,
        Native,
        &[("hostNetwork", "true"), ("containers/deepgram-engine/lifecycle/preStop/httpGet/host", "127.0.0.1")],
        "one of the node's",
    ),
];
