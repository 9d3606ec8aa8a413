{{/* Names, labels and images. */}}
{{- define "holdfast.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Two releases never share a name, and every name made from it fits: 46 characters are what a pod of a Deployment keeps of it, and
     a Service's name begins with a letter and has no dot. */}}
{{- define "holdfast.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := include "holdfast.name" . -}}
{{- $whole := .Release.Name -}}
{{- if not (or (eq $whole $name) (hasPrefix (printf "%s-" $name) $whole)) }}{{ $whole = printf "%s-%s" $whole $name }}{{ end -}}
{{- $fits := $whole | lower | replace "." "-" | replace "_" "-" -}}
{{- if not (regexMatch "^[a-z]" $fits) }}{{ $fits = printf "r%s" $fits }}{{ end -}}
{{- if or (ne $fits $whole) (gt (len $fits) 46) }}{{ $fits = printf "%s-%s" ($fits | trunc 37 | trimSuffix "-") ($whole | sha256sum | trunc 8) }}{{ end -}}
{{- $fits -}}
{{- end -}}
{{- end -}}

{{- define "holdfast.selectorLabels" -}}
app.kubernetes.io/name: {{ include "holdfast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: server
{{- end -}}

{{/* Labels of an object that no Service selects; the workload's pods get the selector labels on top. */}}
{{- define "holdfast.labels" -}}
{{- $own := dict "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") "app.kubernetes.io/name" (include "holdfast.name" .) "app.kubernetes.io/instance" .Release.Name "app.kubernetes.io/version" .Chart.AppVersion "app.kubernetes.io/managed-by" .Release.Service -}}
{{- merge $own (.Values.commonLabels | default dict) | toYaml -}}
{{- end -}}

{{- define "holdfast.metadata" -}}
name: {{ include "holdfast.fullname" . | quote }}
labels: {{- include "holdfast.labels" . | nindent 2 }}
{{- end -}}

{{/* Labels with further ones that win: (list root map). */}}
{{- define "holdfast.labelsWith" -}}
{{- merge (deepCopy (index . 1 | default dict)) (include "holdfast.labels" (index . 0) | fromYaml) | toYaml -}}
{{- end -}}

{{/* One image: (list root map). A digest wins over the tag. */}}
{{- define "holdfast.imageOf" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- with $image.registry | default $root.Values.global.imageRegistry }}{{ . }}/{{ end -}}
{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* The image that contains holdfast, for everything that is not the server, and where it lies there. */}}
{{- define "holdfast.ownImage" -}}
{{- $image := ternary .Values.install.image .Values.image .Values.install.enabled -}}
image: {{ include "holdfast.imageOf" (list . $image) | quote }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- end -}}
{{- define "holdfast.ownProgram" -}}
{{ ternary "/opt/holdfast" .Values.prefix .Values.install.enabled }}/bin/holdfast
{{- end -}}

{{/* holdfast in the server's container. */}}
{{- define "holdfast.program" -}}
{{ ternary .Values.install.path .Values.prefix .Values.install.enabled }}/bin/holdfast
{{- end -}}

{{- define "holdfast.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "holdfast.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* "yes" when the server is holdfast's own runtime. */}}
{{- define "holdfast.isOwn" -}}
{{- if not (or .Values.preset .Values.command) }}yes{{ end -}}
{{- end -}}

{{/* The model's sources as a list, in JSON. */}}
{{- define "holdfast.sources" -}}
{{- if kindIs "string" .Values.model.source -}}
{{- if .Values.model.source }}{{ list .Values.model.source | toJson }}{{ else }}[]{{ end -}}
{{- else -}}
{{- .Values.model.source | default list | toJson -}}
{{- end -}}
{{- end -}}

{{/* The folder of the model's files. */}}
{{- define "holdfast.modelDir" -}}
{{ .Values.cache.mountPath }}/{{ .Values.model.name }}
{{- end -}}

{{/* The hub's cache in the volume, or nothing. */}}
{{- define "holdfast.hubCache" -}}
{{- with .Values.model.hubCache }}{{ ternary $.Values.cache.mountPath (printf "%s/%s" $.Values.cache.mountPath .) (eq . ".") }}{{ end -}}
{{- end -}}

{{/* The claim of the model's files, or nothing. */}}
{{- define "holdfast.claim" -}}
{{- if .Values.cache.existingClaim -}}
{{- .Values.cache.existingClaim -}}
{{- else if and (eq .Values.cache.type "pvc") (eq .Values.kind "Deployment") -}}
{{- include "holdfast.fullname" . }}-models
{{- end -}}
{{- end -}}

{{/* Seconds until the kubelet gives a start up: the sum of what holdfast allows it, so that holdfast judges first; the kubelet's last
     question comes up to a period early. 0: no bound. */}}
{{- define "holdfast.startBudget" -}}
{{- $s := .Values.start -}}
{{- if eq (int $s.backstop) 0 -}}
0
{{- else -}}
{{- $fetch := ternary (int $s.fetchDeadline) 0 (and (ne (include "holdfast.sources" .) "[]") (eq .Values.model.fetchBy "server")) -}}
{{- $p := .Values.probes.startup -}}
{{- add $fetch (int $s.backstop) (int $s.warmTimeout) (max (int $p.margin) (int $p.period)) (int $p.delay) -}}
{{- end -}}
{{- end -}}

{{/* A quantity of Kubernetes as a number. */}}
{{- define "holdfast.quantity" -}}
{{- if kindIs "string" . -}}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" . -}}
{{- mulf (float64 $number) (get (dict "" 1.0 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0) (trimPrefix $number .)) -}}
{{- else }}{{ float64 . }}{{ end -}}
{{- end -}}

{{/* GPUs of a pod, however they were asked for. */}}
{{- define "holdfast.gpus" -}}
{{- $limits := (.Values.resources | default dict).limits | default dict -}}
{{- max (int .Values.gpu.count) (int (get $limits .Values.gpu.resourceName)) -}}
{{- end -}}

{{/* The requested stop: not ready but serving for this long, never longer than the grace that contains it. */}}
{{- define "holdfast.prestopDelay" -}}
{{- if kindIs "invalid" .Values.prestopDelay }}{{ min 5 (int .Values.grace) }}{{ else }}{{ int .Values.prestopDelay }}{{ end -}}
{{- end -}}
