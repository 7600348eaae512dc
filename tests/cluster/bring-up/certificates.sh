#!/usr/bin/env bash
# Creates a certificate authority for this run, and a kubeconfig for each client of the API server.
#
#   certificates.sh DIRECTORY NODE NODE_ADDRESS
set -euo pipefail
cd "$1"
node=$2 address=$3

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

sign() { # NAME SUBJECT [EXTENSION]
    key "$1"
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out "$1.crt" \
        -extfile <(echo "extendedKeyUsage=serverAuth,clientAuth"; echo "${3-}") 2>/dev/null
}

kubeconfig() { # NAME SUBJECT
    sign "$1" "$2"
    cat > "$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: $1}}]
clusters: [{name: here, cluster: {server: "https://$address:6443", certificate-authority: $PWD/ca.crt}}]
users: [{name: $1, user: {client-certificate: $PWD/$1.crt, client-key: $PWD/$1.key}}]
YAML
}

key ca
openssl req -x509 -new -key ca.key -subj /CN=lameduck-cluster -days 2 -out ca.crt
key accounts
sign apiserver /CN=kube-apiserver \
    "subjectAltName=IP:127.0.0.1,IP:$address,IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
kubeconfig admin /O=system:masters/CN=admin
kubeconfig kubelet "/O=system:nodes/CN=system:node:$node"
kubeconfig controller-manager /CN=system:kube-controller-manager
kubeconfig scheduler /CN=system:kube-scheduler
kubeconfig proxy /CN=system:kube-proxy
