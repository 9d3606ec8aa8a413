{{/* Values that contradict each other, each with the keys and a cure; and names that other charts use. Included by the workload. */}}
{{- define "holdfast.checks" -}}
{{- $v := .Values -}}
{{- $other := dict "replicaCount" "replicas" "autoscaling" "hpa or keda" "persistence" "cache" "env" "extraEnv" "envFrom" "extraEnvFrom" "volumes" "extraVolumes" "volumeMounts" "extraVolumeMounts" "livenessProbe" "probes.liveness" "readinessProbe" "probes.readiness" "startupProbe" "probes.startup and start" "podDisruptionBudget" "pdb" "terminationGracePeriodSeconds" "grace, to which 5 is added" "metrics" "serviceMonitor or podMonitor" "ingress" "extraObjects" -}}
{{- range $name, $ours := $other }}{{ if hasKey $v $name }}{{ fail (printf "%s: this chart calls it %s" $name $ours) }}{{ end }}{{ end -}}
{{- range $path, $default := .Files.Get "files/defaults.json" | fromJson -}}
{{- $at := $v -}}
{{- range splitList "." $path }}{{ $at = index $at . }}{{ end -}}
{{- if kindIs "invalid" $at }}{{ fail (printf "%s: null is no value for it; leave the key out for its default%s" $path (ternary "" (printf ", %s" $default) (eq $default ""))) }}{{ end -}}
{{- end -}}
{{- if hasKey $v.model "sources" }}{{ fail "model.sources: it is model.source, which takes a list" }}{{ end -}}
{{- if hasKey $v.probes.startup "backstop" }}{{ fail "probes.startup.backstop: it is start.backstop; the probe's budget is computed from start" }}{{ end -}}

{{- range include "holdfast.sources" . | fromJsonArray }}{{ if regexMatch "^[a-z0-9]+://[^/]*:[^/]*@" . }}{{ fail "model.source: it carries a password, which would stand in the manifest and on the command line; give the address as HOLDFAST_MODEL_SOURCE from a Secret (extraEnv)" }}{{ end }}{{ end -}}
{{- $sources := include "holdfast.sources" . | fromJsonArray -}}
{{- if and $v.preset $v.command }}{{ fail "preset and command: name one; a preset's line is changed by serverArgs" }}{{ end -}}
{{- if and $v.preset (eq $v.image.repository "holdfast-runtime") }}{{ fail (printf "image.repository: preset %s needs an image with that server, for example %s" $v.preset (ternary "vllm/vllm-openai" "lmsysorg/sglang" (eq $v.preset "vllm"))) }}{{ end -}}
{{- if and $v.serverArgs (include "holdfast.isOwn" .) }}{{ fail "serverArgs: only with preset or command; holdfast's own runtime takes extraArgs" }}{{ end -}}
{{- if and (or $v.ready $v.startup $v.live $v.warmup) (include "holdfast.isOwn" .) }}{{ fail "ready, startup, live, warmup: only with preset or command; holdfast's own runtime tells by itself" }}{{ end -}}
{{- if and $v.install.enabled (include "holdfast.isOwn" .) }}{{ fail "install.enabled: only with preset or command; the image of holdfast's own runtime contains holdfast" }}{{ end -}}
{{- range $path, $name := dict "prefix" $v.prefix "install.path" $v.install.path "cache.mountPath" $v.cache.mountPath "cache.hostPath" $v.cache.hostPath "cache.subPath" $v.cache.subPath }}{{ if has ".." (splitList "/" ($name | default "")) }}{{ fail (printf "%s: %s: no step upwards (..)" $path $name) }}{{ end }}{{ end -}}
{{- if or (and (eq $v.kind "Deployment") (eq (get ($v.strategy | default dict) "type") "OnDelete")) (and (eq $v.kind "StatefulSet") (eq (get ($v.strategy | default dict) "type") "Recreate")) }}{{ fail (printf "strategy.type: a %s has no %s" $v.kind $v.strategy.type) }}{{ end -}}
{{- if eq (int $v.service.port) (int $v.service.statusPort) }}{{ fail (printf "service.port and service.statusPort: both are %d" (int $v.service.port)) }}{{ end -}}
{{- if gt (int (include "holdfast.prestopDelay" .)) (int $v.grace) }}{{ fail (printf "prestopDelay: %d s is longer than grace (%d s), which contains it" (int $v.prestopDelay) (int $v.grace)) }}{{ end -}}
{{- if and (eq $v.cache.type "hostPath") (not $v.cache.hostPath) }}{{ fail "cache.hostPath: cache.type hostPath needs a folder" }}{{ end -}}
{{- if and $v.cache.hostPath (ne $v.cache.type "hostPath") }}{{ fail (printf "cache.hostPath: only with cache.type hostPath, not %s" $v.cache.type) }}{{ end -}}
{{- if and $v.cache.existingClaim (has $v.cache.type (list "hostPath" "none")) }}{{ fail (printf "cache.existingClaim: not with cache.type %s" $v.cache.type) }}{{ end -}}
{{- if and $sources (eq $v.cache.type "none") }}{{ fail "model.source: cache.type none has no place to bring files to" }}{{ end -}}
{{- if and $sources $v.cache.readOnly }}{{ fail "model.source: cache.readOnly forbids bringing files; empty it, or fill the claim with fetchJob of another release" }}{{ end -}}
{{- if $v.model.hubCache -}}
{{- if include "holdfast.isOwn" . }}{{ fail "model.hubCache: only with preset or command; holdfast's own runtime reads a plain folder" }}{{ end -}}
{{- if or (ne (len $sources) 1) (not (hasPrefix "hf://" (first $sources | default ""))) }}{{ fail "model.hubCache: needs exactly one hf:// in model.source" }}{{ end -}}
{{- end -}}
{{- if and (eq $v.model.fetchBy "init") (not $sources) }}{{ fail "model.fetchBy init: needs model.source" }}{{ end -}}
{{- if $v.fetchJob.enabled -}}
{{- if not $sources }}{{ fail "fetchJob.enabled: needs model.source" }}{{ end -}}
{{- if not (include "holdfast.claim" .) }}{{ fail (printf "fetchJob.enabled: needs a claim that the pods share: cache.existingClaim, or cache.type pvc with kind Deployment (now %s with %s)" $v.cache.type $v.kind) }}{{ end -}}
{{- end -}}
{{- if and $v.gc.enabled (or $v.cache.readOnly (not (include "holdfast.claim" .))) }}{{ fail "gc.enabled: needs a claim that can be written: cache.existingClaim, or cache.type pvc with kind Deployment, without cache.readOnly" }}{{ end -}}
{{- if and $v.hpa.enabled $v.keda.enabled }}{{ fail "hpa.enabled and keda.enabled: both would set the number of pods; enable one" }}{{ end -}}
{{- if and $v.hpa.enabled (gt (int $v.hpa.minReplicas) (int $v.hpa.maxReplicas)) }}{{ fail (printf "hpa.minReplicas: %d is more than hpa.maxReplicas (%d)" (int $v.hpa.minReplicas) (int $v.hpa.maxReplicas)) }}{{ end -}}
{{- if $v.keda.enabled -}}
{{- if not $v.keda.serverAddress }}{{ fail "keda.serverAddress: keda.enabled needs the address of Prometheus" }}{{ end -}}
{{- if gt (int $v.keda.minReplicas) (int $v.keda.maxReplicas) }}{{ fail (printf "keda.minReplicas: %d is more than keda.maxReplicas (%d)" (int $v.keda.minReplicas) (int $v.keda.maxReplicas)) }}{{ end -}}
{{- if and (eq (int $v.keda.minReplicas) 0) (not $v.keda.query) }}{{ fail "keda.minReplicas: 0 needs keda.query: the pods' own metrics vanish with the last pod, so the queue must be measured in front of them" }}{{ end -}}
{{- end -}}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled }}{{ fail "serviceMonitor.enabled and podMonitor.enabled: each sample would count twice; enable one" }}{{ end -}}
{{- if and $v.pdb.enabled (not (kindIs "invalid" $v.pdb.minAvailable)) (not (kindIs "invalid" $v.pdb.maxUnavailable)) }}{{ fail "pdb.minAvailable and pdb.maxUnavailable: Kubernetes takes one of them" }}{{ end -}}
{{- $limits := ($v.resources | default dict).limits | default dict -}}
{{- if and (gt (int $v.gpu.count) 0) (hasKey $limits $v.gpu.resourceName) (ne (int $v.gpu.count) (int (get $limits $v.gpu.resourceName))) }}{{ fail (printf "gpu.count and resources.limits: %d and %v of %s; name one" (int $v.gpu.count) (get $limits $v.gpu.resourceName) $v.gpu.resourceName) }}{{ end -}}

{{- range $path, $map := dict "resources" $v.resources "fetchJob.resources" $v.fetchJob.resources "gc.resources" $v.gc.resources -}}
{{- range $name, $asked := ($map | default dict).requests -}}
{{- $limits := ($map | default dict).limits | default dict -}}
{{- $most := get $limits $name -}}
{{- if and (hasKey $limits $name) (gt (include "holdfast.quantity" $asked | float64) (include "holdfast.quantity" $most | float64)) }}{{ fail (printf "%s.requests.%s: %v is more than %s.limits.%s (%v)" $path $name $asked $path $name $most) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and (eq $v.cache.type "pvc") (not $v.cache.existingClaim) (eq (include "holdfast.quantity" $v.cache.size | float64) 0.0) }}{{ fail "cache.size: a claim of 0 is none" }}{{ end -}}

{{- /* What the chart says itself, an option of extraArgs would say again. */ -}}
{{- $ours := dict "status-listen" "service.statusPort" "listen" "service.port" "served-name" "model.name" "model" "cache.mountPath and model.name" "model-source" "model.source" "model-digest" "model.digest" "config" "config" "log-level" "logLevel" "grace" "grace" "prestop-delay" "prestopDelay" "on-fatal" "onFatal" "restart" "restart" "sandbox" "sandbox" "no-progress" "start.noProgress" "start-backstop" "start.backstop" "warm-timeout" "start.warmTimeout" "fetch-deadline" "start.fetchDeadline" "ready" "ready" "startup" "startup" "live" "live" "warmup" "warmup" -}}
{{- range $v.extraArgs -}}
{{- $flag := regexFind "^--[a-z-]*" . | trimPrefix "--" -}}
{{- if eq . "--" }}{{ fail "extraArgs: -- ends holdfast's options; the server's command line is command and serverArgs" }}{{ end -}}
{{- if hasKey $ours $flag }}{{ fail (printf "extraArgs: --%s is %s in this chart" $flag (get $ours $flag)) }}{{ end -}}
{{- end -}}

{{- /* Names that Kubernetes wants once, in the pod as it is rendered. */ -}}
{{- $pod := (include "holdfast.pod" . | fromYaml).spec -}}
{{- $volumes := dict -}}
{{- if and (eq $v.kind "StatefulSet") (eq $v.cache.type "pvc") (not $v.cache.existingClaim) }}{{ $_ := set $volumes "models" true }}{{ end -}}
{{- range $pod.volumes }}{{ if hasKey $volumes .name }}{{ fail (printf "extraVolumes: the pod has a volume %s already" .name) }}{{ end }}{{ $_ := set $volumes .name true }}{{ end -}}
{{- $names := dict -}}
{{- range concat $pod.containers ($pod.initContainers | default list) -}}
{{- if hasKey $names .name }}{{ fail (printf "extraContainers and initContainers: the pod has a container %s already" .name) }}{{ end -}}
{{- $_ := set $names .name true -}}
{{- $name := .name -}}
{{- $paths := dict -}}
{{- range .volumeMounts -}}
{{- if hasKey $paths (clean .mountPath) }}{{ fail (printf "cache.mountPath, install.path and extraVolumeMounts: two volumes at %s of the container %s" .mountPath $name) }}{{ end -}}
{{- $_ := set $paths (clean .mountPath) true -}}
{{- if not (hasKey $volumes .name) }}{{ fail (printf "extraVolumeMounts: the pod has no volume %s" .name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
