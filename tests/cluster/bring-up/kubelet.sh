#!/usr/bin/env bash
# Prints the kubelet's configuration: without anything that needs a cgroup manager or slows the tests down.
#
#   kubelet.sh DIRECTORY
set -euo pipefail
work=$1
cat <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: /${work##*/}
cgroupsPerQOS: false
containerRuntimeEndpoint: unix://$work/containerd.sock
enforceNodeAllocatable: []
failSwapOn: false
# Without cgroups per QoS, a resize crashes the kubelet, and a forced deletion may cause one.
featureGates: {InPlacePodVerticalScaling: false}
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
podLogsDir: $work/log/pods
readOnlyPort: 10255
syncFrequency: 10s
YAML
