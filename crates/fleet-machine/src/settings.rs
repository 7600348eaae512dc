//! What users can choose.

use std::time::Duration;

/// The settings of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often a serving sidecar is polled.
    pub poll_interval: Duration,
    /// How pods with active streams are protected.
    pub protection: ProtectionSettings,
    /// Whether replicas elect a leader. Without an election this process is the leader.
    pub leader_election: bool,
}

/// How pods with active streams are protected from the removal of their node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectionSettings {
    /// Write `safe-to-evict`, which the cluster autoscaler reads.
    pub safe_to_evict: bool,
    /// Write `do-not-disrupt`, which Karpenter reads.
    pub do_not_disrupt: DisruptionSetting,
    /// For how long at most a pod is protected without a moment in which it had no active stream.
    pub max_age: Duration,
}

/// Which value of `do-not-disrupt` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisruptionSetting {
    /// None.
    Off,
    /// A duration. The protection ends by itself if the fleet is down. Needs Karpenter 1.12.
    Duration,
    /// `"true"`, for earlier versions of Karpenter.
    True,
}

impl Default for Settings {
    fn default() -> Self {
        let protection = ProtectionSettings {
            safe_to_evict: false,
            do_not_disrupt: DisruptionSetting::Off,
            max_age: Duration::from_secs(24 * 3600),
        };
        Self { poll_interval: Duration::from_secs(5), protection, leader_election: true }
    }
}
