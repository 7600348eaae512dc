#!/usr/bin/env bash
# Brings the cluster up, runs COMMAND in it, and shuts it down. `run` starts this script as the first process of new
# namespaces: when it ends, the kernel kills all other processes in them.
#
#   cluster.sh COMMAND [ARGUMENT...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$LAMEDUCK_CLUSTER parts=$LAMEDUCK_CLUSTER_PARTS
node=node address=192.0.2.1
export KUBECONFIG=$work/admin.kubeconfig PATH=$parts/bin:$PATH
export RUST_BACKTRACE=0  # A scenario's panic message names the failed assertion; a backtrace adds nothing.

# Mounts over the machine's own directories, so that nothing is written outside the work directory.
private_directories() {
    mkdir -p "$work"/{log,lib,log/pods,pid,start,manifests,cni,etcd}
    mount --bind "$work/lib" /var/lib
    mount --bind "$work/log" /var/log
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs "$work/etcd"
    mkdir -p /run/lock /var/lib/cni
}

network() {
    ip link set lo up
    ip link add node0 type bridge
    ip address add "$address/24" dev node0
    ip link set node0 up
    ip route add default dev node0
    echo 1 > /proc/sys/net/ipv4/ip_forward
}

prepare() { # NAME COMMAND...: writes a script that starts the command and saves its pid, also for use by scenarios
    local name=$1
    shift
    printf '#!/bin/sh\n%s >> %s 2>&1 &\necho $! > %s\n' "${*@Q}" "$work/log/$name.log" "$work/pid/$name" > "$work/start/$name"
}

start() { # NAME COMMAND...
    prepare "$@"
    sh "$work/start/$1"
}

wait_for() { # SECONDS COMMAND...
    local left=$(($1 * 5))
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { echo "timed out waiting for: $*" >&2; tail -n 5 "$work"/log/*.log >&2; return 1; }
        sleep 0.2
    done
}

containers() {
    "$here/containerd.sh" "$work" > "$work/containerd.toml"
    start containerd containerd --config "$work/containerd.toml"
    ctr=(ctr --address "$work/containerd.sock" --namespace k8s.io)
    wait_for 30 "${ctr[@]}" version
    for image in "$parts"/images/*.tar; do "${ctr[@]}" images import "$image" >/dev/null; done
}

control_plane() {
    start etcd etcd --data-dir "$work/etcd" --log-level error
    start kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 \
        --advertise-address "$address" --authorization-mode Node,RBAC --client-ca-file "$work/ca.crt" \
        --endpoint-reconciler-type none --kubelet-preferred-address-types InternalIP \
        --kubelet-client-certificate "$work/admin.crt" --kubelet-client-key "$work/admin.key" \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$work/accounts.key" \
        --service-account-signing-key-file "$work/accounts.key" --service-cluster-ip-range 10.96.0.0/16 \
        --tls-cert-file "$work/apiserver.crt" --tls-private-key-file "$work/apiserver.key"
    wait_for 60 kubectl get --raw /readyz
    start kube-controller-manager kube-controller-manager --kubeconfig "$work/controller-manager.kubeconfig" \
        --leader-elect=false --root-ca-file "$work/ca.crt" --service-account-private-key-file "$work/accounts.key" \
        --use-service-account-credentials
    start kube-scheduler kube-scheduler --kubeconfig "$work/scheduler.kubeconfig" --leader-elect=false
}

node() {
    "$here/kubelet.sh" "$work" > "$work/kubelet.yaml"
    local settings=(--hostname-override "$node" --node-ip "$address")
    start kubelet kubelet --config "$work/kubelet.yaml" --kubeconfig "$work/kubelet.kubeconfig" \
        --root-dir "$work/kubelet" "${settings[@]}"
    { cat "$work/kubelet.yaml"; echo "staticPodPath: $work/manifests"; } > "$work/kubelet-alone.yaml"
    prepare kubelet-alone kubelet --config "$work/kubelet-alone.yaml" --root-dir "$work/kubelet-alone" "${settings[@]}"
    cat > "$work/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: 10.244.0.0/24
clientConnection: {kubeconfig: $work/proxy.kubeconfig}
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
    start kube-proxy kube-proxy --config "$work/proxy.yaml" --hostname-override "$node"
    wait_for 60 kubectl wait --for condition=Ready "node/$node" --timeout 1s
    wait_for 60 kubectl get serviceaccount default
}

private_directories
network
"$here/certificates.sh" "$work" "$node" "$address"
containers
control_plane
node
echo "cluster: up after $SECONDS s"
status=0
"$@" || status=$?
# Deleted pods end without the errors that killed container shims would log.
kubectl delete pods --all --all-namespaces --grace-period 1 --wait --timeout 60s >/dev/null 2>&1 || true
exit "$status"
