#!/usr/bin/env bash
# Prints containerd's configuration, and writes that of the pod network.
#
#   containerd.sh DIRECTORY
set -euo pipefail
work=$1
cat > "$work/cni/10-pods.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{
    "type": "bridge", "bridge": "pods0", "isGateway": true, "hairpinMode": true,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
# Without CAP_SYS_RESOURCE, containerd may not lower oom_score_adj below its own.
containerd config default | sed -E "
    s,^root = .*,root = \"$work/containerd\",
    s,^state = .*,state = \"/run/containerd\",
    s,address = \"/run/containerd/containerd.sock\",address = \"$work/containerd.sock\",
    s,restrict_oom_score_adj = .*,restrict_oom_score_adj = true,
    s,sandbox_image = .*,sandbox_image = \"localhost/pause:test\",
    s,conf_dir = .*,conf_dir = \"$work/cni\",
    s,bin_dir = .*,bin_dir = \"/usr/lib/cni\","
