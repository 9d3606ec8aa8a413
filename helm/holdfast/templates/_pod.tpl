{{/* One probe: what it asks ("live", "ready", "startup") and its numbers. Every number is written, zero too. */}}
{{- define "holdfast.probe" -}}
{{- $root := index . 0 -}}
{{- $what := index . 1 -}}
{{- $p := index . 2 -}}
{{- if eq $root.Values.probes.type "exec" -}}
exec:
  command: [{{ include "holdfast.program" $root | quote }}, probe, {{ $what }}]
{{- else -}}
httpGet:
  path: {{ get (dict "live" "/livez" "ready" "/readyz" "startup" "/startupz") $what }}
  port: status
{{- end }}
initialDelaySeconds: {{ int $p.delay }}
periodSeconds: {{ int $p.period }}
timeoutSeconds: {{ int $p.timeout }}
{{- end -}}

{{/* The server's command line with the flags that Open-AutoGLM's README gives, as a JSON list. */}}
{{- define "holdfast.serverCommand" -}}
{{- $v := .Values -}}
{{- $model := ternary $v.model.repository (include "holdfast.modelDir" .) (eq (include "holdfast.sources" .) "[]") -}}
{{- $gpus := int (include "holdfast.gpus" .) -}}
{{- $revision := list -}}
{{- if $v.model.hubCache -}}
{{- $named := include "holdfast.sources" . | fromJsonArray | first | trimPrefix "hf://" | splitList "@" -}}
{{- $model = first $named -}}
{{- if gt (len $named) 1 }}{{ $revision = list "--revision" (last $named) }}{{ end -}}
{{- end -}}
{{- $line := $v.command | default list -}}
{{- if eq $v.preset "vllm" -}}
{{- $line = list "python3" "-m" "vllm.entrypoints.openai.api_server" "--served-model-name" $v.model.name "--allowed-local-media-path" "/" "--mm-encoder-tp-mode" "data" "--mm_processor_cache_type" "shm" "--mm_processor_kwargs" "{\"max_pixels\":5000000}" "--max-model-len" "25480" "--chat-template-content-format" "string" "--limit-mm-per-prompt" "{\"image\":10}" "--model" $model "--port" (int $v.service.port | toString) -}}
{{- if gt $gpus 1 }}{{ $line = concat $line (list "--tensor-parallel-size" ($gpus | toString)) }}{{ end -}}
{{- else if eq $v.preset "sglang" -}}
{{- $line = list "python3" "-m" "sglang.launch_server" "--model-path" $model "--served-model-name" $v.model.name "--context-length" "25480" "--mm-enable-dp-encoder" "--mm-process-config" "{\"image\":{\"max_pixels\":5000000}}" "--port" (int $v.service.port | toString) "--host" "0.0.0.0" "--enable-metrics" -}}
{{- if gt $gpus 1 }}{{ $line = concat $line (list "--tp" ($gpus | toString)) }}{{ end -}}
{{- end -}}
{{- if $v.preset }}{{ $line = concat $line $revision }}{{ end -}}
{{- concat $line ($v.serverArgs | default list) | toJson -}}
{{- end -}}

{{/* Arguments of process 1. */}}
{{- define "holdfast.args" -}}
{{- $v := .Values -}}
{{- $own := include "holdfast.isOwn" . -}}
{{- $sources := include "holdfast.sources" . | fromJsonArray -}}
{{- $args := list (printf "--status-listen=[::]:%d" (int $v.service.statusPort)) (printf "--log-level=%s" $v.logLevel) (printf "--grace=%ds" (int $v.grace)) (printf "--prestop-delay=%ss" (include "holdfast.prestopDelay" .)) (printf "--on-fatal=%s" $v.onFatal) (printf "--restart=%s" $v.restart) (printf "--sandbox=%s" ($v.sandbox | default (ternary "strict" "off" (eq $own "yes")))) (printf "--no-progress=%ds" (int $v.start.noProgress)) (printf "--start-backstop=%ds" (int $v.start.backstop)) (printf "--warm-timeout=%ds" (int $v.start.warmTimeout)) -}}
{{- if $own }}{{ $args = prepend $args "run" }}{{ end -}}
{{- if $v.config }}{{ $args = append $args "--config=/etc/holdfast/holdfast.json" }}{{ end -}}
{{- $hub := include "holdfast.hubCache" . -}}
{{- $plain := and (or $own $sources) (not $hub) -}}
{{- if $plain }}{{ $args = append $args (printf "--model=%s" (include "holdfast.modelDir" .)) }}{{ end -}}
{{- if and $sources (eq $v.model.fetchBy "server") -}}
{{- with $hub }}{{ $args = append $args (printf "--hub-cache=%s" .) }}{{ end -}}
{{- range $sources }}{{ $args = append $args (printf "--model-source=%s" .) }}{{ end -}}
{{- $args = append $args (printf "--fetch-deadline=%ds" (int $v.start.fetchDeadline)) -}}
{{- end -}}
{{- if and $v.model.digest (or $plain (and $hub (eq $v.model.fetchBy "server"))) }}{{ $args = append $args (printf "--model-digest=%s" $v.model.digest) }}{{ end -}}
{{- if $own -}}
{{- $args = concat $args (list (printf "--listen=[::]:%d" (int $v.service.port)) (printf "--served-name=%s" $v.model.name)) -}}
{{- $args = concat $args ($v.extraArgs | default list) -}}
{{- else -}}
{{- $ready := $v.ready -}}
{{- if and $v.preset (not $ready) }}{{ $ready = printf "http://127.0.0.1:%d/health" (int $v.service.port) }}{{ end -}}
{{- with $ready }}{{ $args = append $args (printf "--ready=%s" .) }}{{ end -}}
{{- with $v.startup }}{{ $args = append $args (printf "--startup=%s" .) }}{{ end -}}
{{- $live := $v.live -}}
{{- if and (eq $v.preset "vllm") (not $live) }}{{ $live = printf "counter:http://127.0.0.1:%d/metrics vllm" (int $v.service.port) }}{{ end -}}
{{- if and $live (ne $live "none") }}{{ $args = append $args (printf "--live=%s" $live) }}{{ end -}}
{{- with $v.warmup }}{{ $args = append $args (printf "--warmup=%s" .) }}{{ end -}}
{{- if and $v.model.existingSecret (not $sources) }}{{ $args = append $args "--keep-env=*" }}{{ end -}}
{{- $args = concat $args ($v.extraArgs | default list) (list "--") (include "holdfast.serverCommand" . | fromJsonArray) -}}
{{- end -}}
{{- toJson $args -}}
{{- end -}}

{{/* Variables of the server's container. A foreign server gets writable places for everything that such servers cache, since the root
     is read-only and the user has no home; what extraEnv names is left to it. */}}
{{- define "holdfast.env" -}}
{{- $v := .Values -}}
{{- $env := list -}}
{{- if not (include "holdfast.isOwn" .) -}}
{{- $cache := "/tmp/.cache" -}}
{{- $hub := ternary "/tmp/.cache/huggingface" (printf "%s/.huggingface" $v.cache.mountPath) (or (eq $v.cache.type "none") $v.cache.readOnly) -}}
{{- range list (list "HOME" "/tmp") (list "USER" "holdfast") (list "LOGNAME" "holdfast") (list "XDG_CACHE_HOME" $cache) (list "XDG_CONFIG_HOME" "/tmp/.config") (list "HF_HOME" $hub) (list "VLLM_CACHE_ROOT" (printf "%s/vllm" $cache)) (list "TRITON_CACHE_DIR" (printf "%s/triton" $cache)) (list "TORCHINDUCTOR_CACHE_DIR" (printf "%s/torchinductor" $cache)) (list "NUMBA_CACHE_DIR" (printf "%s/numba" $cache)) (list "OUTLINES_CACHE_DIR" (printf "%s/outlines" $cache)) -}}
{{- $env = append $env (dict "name" (index . 0) "value" (index . 1)) -}}
{{- end -}}
{{- end -}}
{{- with include "holdfast.hubCache" . }}{{ $env = append $env (dict "name" "HF_HUB_CACHE" "value" .) }}{{ end -}}
{{- with $v.model.existingSecret }}{{ $env = append $env (dict "name" "HF_TOKEN" "valueFrom" (dict "secretKeyRef" (dict "name" . "key" $v.model.existingSecretKey))) }}{{ end -}}
{{- $theirs := list -}}
{{- range $v.extraEnv }}{{ $theirs = append $theirs .name }}{{ end -}}
{{- $all := list -}}
{{- range $env }}{{ if not (has .name $theirs) }}{{ $all = append $all . }}{{ end }}{{ end -}}
{{- concat $all ($v.extraEnv | default list) | toJson -}}
{{- end -}}

{{/* What the pod of the fetching errand and the init container of the same errand share. */}}
{{- define "holdfast.fetchContainer" -}}
name: fetch
{{ include "holdfast.ownImage" . }}
command:
  - {{ include "holdfast.ownProgram" . | quote }}
  - fetch
  {{- range include "holdfast.sources" . | fromJsonArray }}
  - {{ . | quote }}
  {{- end }}
  {{- with include "holdfast.hubCache" . }}
  - {{ printf "--hub-cache=%s" . | quote }}
  {{- else }}
  - {{ printf "--out=%s" (include "holdfast.modelDir" .) | quote }}
  {{- end }}
  - --fetch-deadline={{ int .Values.start.fetchDeadline }}s
  {{- with .Values.model.digest }}
  - --digest={{ . }}
  {{- end }}
{{- with .Values.model.existingSecret }}
env:
  - name: HF_TOKEN
    valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: {{ $.Values.model.existingSecretKey | quote }}}}
{{- end }}
resources: {{- toYaml (.Values.fetchJob.resources | default dict) | nindent 2 }}
securityContext: {{- toYaml (.Values.securityContext | default dict) | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  {{- include "holdfast.modelsMount" . | nindent 2 }}
  - {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "holdfast.modelsMount" -}}
- name: models
  mountPath: {{ .Values.cache.mountPath | quote }}
  {{- with .Values.cache.subPath }}
  subPath: {{ . | quote }}
  {{- end }}
  {{- if .Values.cache.readOnly }}
  readOnly: true
  {{- end }}
{{- end -}}

{{/* The volume of the model's files; nothing when the pods have none or a StatefulSet makes one a pod. */}}
{{- define "holdfast.modelsVolume" -}}
{{- if include "holdfast.claim" . -}}
- name: models
  persistentVolumeClaim: {claimName: {{ include "holdfast.claim" . | quote }}}
{{- else if eq .Values.cache.type "emptyDir" -}}
- name: models
  emptyDir: {sizeLimit: {{ .Values.cache.size | quote }}}
{{- else if eq .Values.cache.type "hostPath" -}}
- name: models
  hostPath: {path: {{ .Values.cache.hostPath | quote }}, type: DirectoryOrCreate}
{{- end -}}
{{- end -}}

{{/* Size of /dev/shm, or nothing. */}}
{{- define "holdfast.shm" -}}
{{- $size := .Values.shm.size -}}
{{- if not $size }}{{ $size = ternary "8Gi" "0" (or (ne .Values.preset "") (gt (int (include "holdfast.gpus" .)) 1)) }}{{ end -}}
{{- if not (regexMatch "^0+(\\.0+)?([KMGTPE]i?)?$" $size) }}{{ $size }}{{ end -}}
{{- end -}}

{{/* The pod template. */}}
{{- define "holdfast.pod" -}}
{{- $v := .Values -}}
{{- $env := include "holdfast.env" . | fromJsonArray -}}
{{- $shm := include "holdfast.shm" . -}}
{{- $budget := int (include "holdfast.startBudget" .) -}}
metadata:
  labels:
    {{- merge (include "holdfast.selectorLabels" . | fromYaml) ($v.podLabels | default dict) (include "holdfast.labels" . | fromYaml) | toYaml | nindent 4 }}
  {{- $notes := dict "kubectl.kubernetes.io/default-container" "server" }}
  {{- if $v.config }}{{ $notes = set $notes "checksum/config" ($v.config | toJson | sha256sum) }}{{ end }}
  annotations: {{- merge $notes ($v.podAnnotations | default dict) | toYaml | nindent 4 }}
spec:
  serviceAccountName: {{ include "holdfast.serviceAccountName" . | quote }}
  automountServiceAccountToken: {{ $v.serviceAccount.automountToken }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add (int $v.grace) 5 }}
  securityContext: {{- toYaml ($v.podSecurityContext | default dict) | nindent 4 }}
  {{- with $v.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.runtimeClassName }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
  {{- with $v.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- if or $v.install.enabled (eq $v.model.fetchBy "init") $v.initContainers }}
  initContainers:
    {{- if $v.install.enabled }}
    - name: install
      {{- include "holdfast.ownImage" . | nindent 6 }}
      command: [{{ include "holdfast.ownProgram" . | quote }}, install, {{ $v.install.path | quote }}]
      resources:
        requests: {cpu: 10m, memory: 32Mi}
        limits: {memory: 128Mi}
      securityContext: {{- toYaml ($v.securityContext | default dict) | nindent 8 }}
      terminationMessagePolicy: FallbackToLogsOnError
      volumeMounts:
        - {name: holdfast, mountPath: {{ $v.install.path | quote }}}
    {{- end }}
    {{- if eq $v.model.fetchBy "init" }}
    - {{- include "holdfast.fetchContainer" . | nindent 6 }}
    {{- end }}
    {{- with $v.initContainers }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- end }}
  containers:
    - name: server
      image: {{ include "holdfast.imageOf" (list . $v.image) | quote }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      command: [{{ include "holdfast.program" . | quote }}]
      args: {{- include "holdfast.args" . | fromJsonArray | toYaml | nindent 8 }}
      {{- with $env }}
      env: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $v.extraEnvFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - {name: http, containerPort: {{ int $v.service.port }}, protocol: TCP}
        - {name: status, containerPort: {{ int $v.service.statusPort }}, protocol: TCP}
      startupProbe:
        {{- include "holdfast.probe" (list . "startup" $v.probes.startup) | nindent 8 }}
        failureThreshold: {{ if eq $budget 0 }}2147483647{{ else }}{{ divf $budget $v.probes.startup.period | ceil | int64 }}{{ end }}
      livenessProbe:
        {{- include "holdfast.probe" (list . "live" $v.probes.liveness) | nindent 8 }}
        failureThreshold: {{ int $v.probes.liveness.failures }}
      readinessProbe:
        {{- include "holdfast.probe" (list . "ready" $v.probes.readiness) | nindent 8 }}
        failureThreshold: {{ int $v.probes.readiness.failures }}
        successThreshold: {{ int $v.probes.readiness.successes }}
      {{- $resources := deepCopy ($v.resources | default dict) }}
      {{- if gt (int $v.gpu.count) 0 }}
      {{- $_ := set $resources "limits" (merge (dict $v.gpu.resourceName (int $v.gpu.count)) ($resources.limits | default dict)) }}
      {{- end }}
      resources: {{- toYaml $resources | nindent 8 }}
      securityContext: {{- toYaml ($v.securityContext | default dict) | nindent 8 }}
      terminationMessagePath: /dev/termination-log
      terminationMessagePolicy: File
      volumeMounts:
        - {name: state, mountPath: /run/holdfast}
        - {name: tmp, mountPath: /tmp}
        {{- if ne $v.cache.type "none" }}
        {{- include "holdfast.modelsMount" . | nindent 8 }}
        {{- end }}
        {{- if $v.install.enabled }}
        - {name: holdfast, mountPath: {{ $v.install.path | quote }}, readOnly: true}
        {{- end }}
        {{- if $v.config }}
        - {name: config, mountPath: /etc/holdfast, readOnly: true}
        {{- end }}
        {{- if $shm }}
        - {name: shm, mountPath: /dev/shm}
        {{- end }}
        {{- with $v.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
    {{- with $v.extraContainers }}{{ toYaml . | nindent 4 }}{{ end }}
  volumes:
    - name: state
      emptyDir: {}
    - name: tmp
      emptyDir: {}
    {{- with include "holdfast.modelsVolume" . }}{{ . | nindent 4 }}{{ end }}
    {{- if $v.install.enabled }}
    - name: holdfast
      emptyDir: {sizeLimit: 256Mi}
    {{- end }}
    {{- if $v.config }}
    - name: config
      configMap: {name: {{ include "holdfast.fullname" . | quote }}}
    {{- end }}
    {{- if $shm }}
    - name: shm
      emptyDir: {medium: Memory, sizeLimit: {{ $shm | quote }}}
    {{- end }}
    {{- with $v.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with $v.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{- merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" (include "holdfast.selectorLabels" $ | fromYaml))) | toYaml | nindent 6 }}
    {{- end }}
  {{- end }}
{{- end -}}
