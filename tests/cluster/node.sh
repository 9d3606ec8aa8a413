#!/bin/bash
# node.sh DIR BIN CGROUP COMMAND...: a real Kubernetes of one node around COMMAND: etcd, API server, controllers, scheduler,
# kubelet, kube-proxy, CoreDNS, containerd and runc. Runs as root inside network, mount and process namespaces made by run.sh, so
# nothing of it is to be seen outside and nothing outlives it. State and logs are in DIR; KUBECONFIG and PATH are set for COMMAND.
set -eu
D=$1 bin=$2 cgroup=$3
shift 3
node_ip=10.88.8.1 pods=10.88.7.0/24 services=10.96.0.0/24 etcd=http://127.0.0.1:12379
export PATH=$bin:$PATH KUBECONFIG=$D/kubeconfig HOLD_NODE=$node_ip HOLD_NODE_DIR=$D HOLD_CTR=$D/containerd.sock

# What these programs write at fixed places lies below DIR. A bare cgroup v2 beside v1 is in the kubelet's way.
for d in lib log; do mkdir -p "$D/var/$d" && mount --bind "$D/var/$d" /var/$d; done
mount -t tmpfs -o mode=755 run /run
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi

# The node's address must not be loopback; a bridge holds it.
ip link set lo up
ip link add node0 type bridge
ip addr add $node_ip/24 dev node0
ip link set node0 up
ip route replace default dev node0

# start NAME COMMAND...: a part of the node, its output in DIR/NAME.log. All end with the process namespace.
start() {
    local name=$1
    shift
    "$@" > "$D/$name.log" 2>&1 &
}

# until_true SECONDS WHAT COMMAND...
until_true() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" > "$D/wait.log" 2>&1; do
        [ $SECONDS -lt $end ] || { echo "node: $what did not come up: $(tail -1 "$D/wait.log")" >&2; return 1; }
        sleep 0.2
    done
}

# ---- the control plane ----
openssl genrsa -out "$D/sa.key" 2048 2> "$D/openssl.log"
echo 'cluster-token,admin,admin,system:masters' > "$D/tokens.csv"
cat > "$KUBECONFIG" <<CONF
{"apiVersion": "v1", "kind": "Config", "current-context": "node",
 "clusters": [{"name": "node", "cluster": {"server": "https://127.0.0.1:16443", "insecure-skip-tls-verify": true}}],
 "users": [{"name": "admin", "user": {"token": "cluster-token"}}],
 "contexts": [{"name": "node", "context": {"cluster": "node", "user": "admin"}}]}
CONF
start etcd etcd --data-dir "$D/etcd" --listen-client-urls $etcd --advertise-client-urls $etcd --unsafe-no-fsync \
    --listen-peer-urls http://127.0.0.1:12380 --initial-advertise-peer-urls http://127.0.0.1:12380 --initial-cluster default=http://127.0.0.1:12380
start apiserver kube-apiserver --etcd-servers=$etcd --secure-port=16443 --bind-address=0.0.0.0 --advertise-address=$node_ip --cert-dir="$D/certs" \
    --token-auth-file="$D/tokens.csv" --authorization-mode=RBAC,Node --service-account-issuer=https://kubernetes.default \
    --service-account-key-file="$D/sa.key" --service-account-signing-key-file="$D/sa.key" --service-cluster-ip-range=$services \
    --allow-privileged=true --kubelet-preferred-address-types=InternalIP

# ---- containers ----
mkdir -p "$D/cni"
cat > "$D/cni/10-pods.conflist" <<CONF
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "loopback"}]}
CONF
cat > "$D/containerd.toml" <<CONF
version = 2
root = "$D/containerd/root"
state = "$D/containerd/state"
[grpc]
  address = "$HOLD_CTR"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$D/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
CONF
start containerd containerd -c "$D/containerd.toml"
until_true 120 containerd ctr -a "$HOLD_CTR" version
for image in "$D"/images/*.tar; do ctr -a "$HOLD_CTR" -n k8s.io images import "$image" > "$D/import.log" 2>&1 || { tail -1 "$D/import.log" >&2; exit 1; }; done

# ---- the node ----
until_true 240 'the API server' kubectl get --raw /readyz
start controllers kube-controller-manager --kubeconfig="$KUBECONFIG" --service-account-private-key-file="$D/sa.key" --root-ca-file="$D/certs/apiserver.crt" \
    --use-service-account-credentials=false --leader-elect=false --secure-port=0
start scheduler kube-scheduler --kubeconfig="$KUBECONFIG" --leader-elect=false --secure-port=0
cat > "$D/kubelet.yaml" <<CONF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://$HOLD_CTR
address: 0.0.0.0
healthzPort: 0
evictionHard: {memory.available: 1Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
localStorageCapacityIsolation: false
clusterDNS: [$node_ip]
clusterDomain: cluster.local
CONF
start kubelet kubelet --config="$D/kubelet.yaml" --kubeconfig="$KUBECONFIG" --hostname-override=node --node-ip=$node_ip --root-dir="$D/kubelet" --cert-dir="$D/kubelet-certs"
cat > "$D/proxy.yaml" <<CONF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clusterCIDR: $pods
hostnameOverride: node
clientConnection: {kubeconfig: $KUBECONFIG}
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
CONF
start proxy kube-proxy --config="$D/proxy.yaml"
cat > "$D/Corefile" <<CONF
.:53 {
  bind $node_ip
  kubernetes cluster.local {
    kubeconfig $KUBECONFIG node
  }
  errors
}
CONF
start coredns coredns -conf "$D/Corefile"
until_true 240 'the node' kubectl get node node
kubectl wait --for=condition=Ready node/node --timeout=240s > "$D/wait.log" 2>&1 || { echo "node: the kubelet is not ready: $(tail -1 "$D/wait.log")" >&2; exit 1; }
until_true 120 'the default service account' kubectl -n default get serviceaccount default
"$@"
