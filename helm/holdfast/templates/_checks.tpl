{{/* Values that contradict each other, each with the keys and a cure; and names that other charts use. Included by the workload. */}}
{{- define "holdfast.checks" -}}
{{- $v := .Values -}}
{{- $other := dict "replicaCount" "replicas" "autoscaling" "hpa or keda" "persistence" "cache" "env" "extraEnv" "envFrom" "extraEnvFrom" "volumes" "extraVolumes" "volumeMounts" "extraVolumeMounts" "livenessProbe" "probes.liveness" "readinessProbe" "probes.readiness" "startupProbe" "probes.startup and start" "podDisruptionBudget" "pdb" "terminationGracePeriodSeconds" "grace, to which 5 is added" "metrics" "serviceMonitor or podMonitor" "ingress" "extraObjects" -}}
{{- range $name, $ours := $other }}{{ if hasKey $v $name }}{{ fail (printf "%s: this chart calls it %s" $name $ours) }}{{ end }}{{ end -}}
{{- if hasKey $v.model "sources" }}{{ fail "model.sources: it is model.source, which takes a list" }}{{ end -}}
{{- if hasKey $v.probes.startup "backstop" }}{{ fail "probes.startup.backstop: it is start.backstop; the probe's budget is computed from start" }}{{ end -}}

{{- $sources := include "holdfast.sources" . | fromJsonArray -}}
{{- if and $v.preset $v.command }}{{ fail "preset and command: name one; a preset's line is changed by serverArgs" }}{{ end -}}
{{- if and $v.preset (eq $v.image.repository "holdfast-runtime") }}{{ fail (printf "image.repository: preset %s needs an image with that server, for example %s" $v.preset (ternary "vllm/vllm-openai" "lmsysorg/sglang" (eq $v.preset "vllm"))) }}{{ end -}}
{{- if and $v.serverArgs (include "holdfast.isOwn" .) }}{{ fail "serverArgs: only with preset or command; holdfast's own runtime takes extraArgs" }}{{ end -}}
{{- if and (or $v.ready $v.startup $v.live $v.warmup) (include "holdfast.isOwn" .) }}{{ fail "ready, startup, live, warmup: only with preset or command; holdfast's own runtime tells by itself" }}{{ end -}}
{{- if and $v.install.enabled (include "holdfast.isOwn" .) }}{{ fail "install.enabled: only with preset or command; the image of holdfast's own runtime contains holdfast" }}{{ end -}}
{{- if and $v.install.enabled (ne $v.cache.type "none") (eq $v.install.path $v.cache.mountPath) }}{{ fail (printf "install.path and cache.mountPath: both are %s" $v.install.path) }}{{ end -}}
{{- if eq (int $v.service.port) (int $v.service.statusPort) }}{{ fail (printf "service.port and service.statusPort: both are %d" (int $v.service.port)) }}{{ end -}}
{{- if gt (int $v.prestopDelay) (int $v.grace) }}{{ fail (printf "prestopDelay: %d s is longer than grace (%d s), which contains it" (int $v.prestopDelay) (int $v.grace)) }}{{ end -}}
{{- if and (eq $v.cache.type "hostPath") (not $v.cache.hostPath) }}{{ fail "cache.hostPath: cache.type hostPath needs a folder" }}{{ end -}}
{{- if and $v.cache.hostPath (ne $v.cache.type "hostPath") }}{{ fail (printf "cache.hostPath: only with cache.type hostPath, not %s" $v.cache.type) }}{{ end -}}
{{- if and $v.cache.existingClaim (has $v.cache.type (list "hostPath" "none")) }}{{ fail (printf "cache.existingClaim: not with cache.type %s" $v.cache.type) }}{{ end -}}
{{- if and $sources (eq $v.cache.type "none") }}{{ fail "model.source: cache.type none has no place to bring files to" }}{{ end -}}
{{- if and $sources $v.cache.readOnly }}{{ fail "model.source: cache.readOnly forbids bringing files; empty it, or fill the claim with fetchJob of another release" }}{{ end -}}
{{- if and (eq $v.model.fetchBy "init") (not $sources) }}{{ fail "model.fetchBy init: needs model.source" }}{{ end -}}
{{- if $v.fetchJob.enabled -}}
{{- if not $sources }}{{ fail "fetchJob.enabled: needs model.source" }}{{ end -}}
{{- if not (include "holdfast.claim" .) }}{{ fail (printf "fetchJob.enabled: needs a claim that the pods share: cache.existingClaim, or cache.type pvc with kind Deployment (now %s with %s)" $v.cache.type $v.kind) }}{{ end -}}
{{- end -}}
{{- if and $v.hpa.enabled $v.keda.enabled }}{{ fail "hpa.enabled and keda.enabled: both would set the number of pods; enable one" }}{{ end -}}
{{- if and $v.hpa.enabled (gt (int $v.hpa.minReplicas) (int $v.hpa.maxReplicas)) }}{{ fail (printf "hpa.minReplicas: %d is more than hpa.maxReplicas (%d)" (int $v.hpa.minReplicas) (int $v.hpa.maxReplicas)) }}{{ end -}}
{{- if $v.keda.enabled -}}
{{- if not $v.keda.serverAddress }}{{ fail "keda.serverAddress: keda.enabled needs the address of Prometheus" }}{{ end -}}
{{- if gt (int $v.keda.minReplicas) (int $v.keda.maxReplicas) }}{{ fail (printf "keda.minReplicas: %d is more than keda.maxReplicas (%d)" (int $v.keda.minReplicas) (int $v.keda.maxReplicas)) }}{{ end -}}
{{- if and (eq (int $v.keda.minReplicas) 0) (not $v.keda.query) }}{{ fail "keda.minReplicas: 0 needs keda.query: the pods' own metrics vanish with the last pod, so the queue must be measured in front of them" }}{{ end -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled }}{{ fail "serviceMonitor.enabled and podMonitor.enabled: each sample would count twice; enable one" }}{{ end -}}
{{- if and $v.pdb.enabled (not (kindIs "invalid" $v.pdb.minAvailable)) (not (kindIs "invalid" $v.pdb.maxUnavailable)) }}{{ fail "pdb.minAvailable and pdb.maxUnavailable: Kubernetes takes one of them" }}{{ end -}}
{{- end -}}
