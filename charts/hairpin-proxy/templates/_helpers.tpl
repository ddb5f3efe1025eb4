{{/* What Helm's users look for in an object's labels; never in those of a pod, which a new chart would restart then. */}}
{{- define "hairpin-proxy.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | include "hairpin-proxy.labelValue" | quote }}
app.kubernetes.io/name: hairpin-proxy
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | include "hairpin-proxy.labelValue" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* A version as a label may have it: without a plus, of 63 characters, the last of them a letter or digit. */}}
{{- define "hairpin-proxy.labelValue" -}}
{{ . | replace "+" "_" | trunc 63 | regexFind "^.*[A-Za-z0-9]" }}
{{- end -}}

{{/* An image: [root, "controller" or "haproxy"]. */}}
{{- define "hairpin-proxy.image" -}}
{{- $root := index . 0 -}}
{{- $image := $root.Values.image -}}
{{- with $image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
hairpin-proxy-{{ index . 1 }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- with index ($image.digests | default dict) (index . 1) }}@{{ . }}{{ end -}}
{{- end -}}

{{/* A setting's value as its variable has it. YAML reads a bare `off` as false, and a large number as a float. */}}
{{- define "hairpin-proxy.text" -}}
{{- if kindIs "slice" . -}}
{{ join "," . }}
{{- else if kindIs "bool" . -}}
{{ ternary "on" "off" . }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}

{{/* Entries of `env`, by name. What is null is left out, so that a null takes a setting back. */}}
{{- define "hairpin-proxy.env" -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
- name: {{ $name }}
  value: {{ include "hairpin-proxy.text" $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The controller's settings, as YAML. What a feature switches on can still be set by hand. */}}
{{- define "hairpin-proxy.controllerSettings" -}}
{{- $switched := dict -}}
{{- if .Values.events.enabled }}{{ $_ := set $switched "EVENTS" "true" }}{{ end -}}
{{- if .Values.nudge.enabled }}{{ $_ := set $switched "NUDGE_COREDNS" "true" }}{{ end -}}
{{- if .Values.nodeLocalDns.enabled }}{{ $_ := set $switched "NODE_LOCAL_DNS" "on" }}{{ end -}}
{{- mergeOverwrite $switched (deepCopy (.Values.settings | default dict)) (deepCopy (.Values.controller.settings | default dict)) | toYaml -}}
{{- end -}}

{{/* The settings of the nodes' controllers, as YAML: all that are about more than the Corefile. */}}
{{- define "hairpin-proxy.nodeSettings" -}}
{{- $ofTheCorefile := list "MIN_WRITE_INTERVAL" "PROVIDER" "CONFIGMAP" "CONFIGMAP_KEY" "RULES" "ADOPT_DESTINATION"
  "COREDNS_VERSION" "NUDGE_COREDNS" "NODE_LOCAL_DNS" "EVENTS" -}}
{{- $node := dict "ETC_HOSTS" "/node/etc/hosts" -}}
{{- range $name, $value := .Values.settings -}}
{{- if not (has $name $ofTheCorefile) }}{{ $_ := set $node $name $value }}{{ end -}}
{{- end -}}
{{- mergeOverwrite $node (deepCopy (.Values.etcHosts.settings | default dict)) | toYaml -}}
{{- end -}}

{{/* The port with a controller's metrics and probes; empty if METRICS_ADDRESS is off, or no address of the pod. */}}
{{- define "hairpin-proxy.metricsPort" -}}
{{- $address := ":8000" -}}
{{- if not (kindIs "invalid" .METRICS_ADDRESS) }}{{ $address = include "hairpin-proxy.text" .METRICS_ADDRESS }}{{ end -}}
{{- if not (regexMatch "^(off$|localhost:|127\\.|\\[[0:]+1\\]:)" $address) -}}
{{ regexFind "[0-9]+$" $address }}
{{- end -}}
{{- end -}}

{{/* Ports and probes of a controller, for its container: the port as text. */}}
{{- define "hairpin-proxy.probes" -}}
ports:
  - name: metrics
    containerPort: {{ . }}
livenessProbe: # whether the loop turns; never whether the API server answers
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 20
  timeoutSeconds: 5
readinessProbe: # whether a poll has succeeded since it was started
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}

{{/* What Prometheus looks for in a pod's annotations, and those of the values: [port, annotations]. */}}
{{- define "hairpin-proxy.podAnnotations" -}}
{{- $scraped := dict -}}
{{- with index . 0 }}{{ $scraped = dict "prometheus.io/scrape" "true" "prometheus.io/port" . }}{{ end -}}
{{- with merge (deepCopy (index . 1 | default dict)) $scraped }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Where a pod may run, from the values of one component. */}}
{{- define "hairpin-proxy.scheduling" -}}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with index $ $field }}
{{ $field }}: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Stops a rendering that the controller could not work with. */}}
{{- define "hairpin-proxy.check" -}}
{{- $where := .Values.coredns.namespace -}}
{{- if eq .Release.Namespace $where -}}
{{- fail (printf "hairpin-proxy needs a namespace of its own, and %s is CoreDNS's: install it with --namespace hairpin-proxy --create-namespace" $where) -}}
{{- end -}}
{{- /* What is being deleted cannot be taken back: a new controller would lose its rights with it. */ -}}
{{- $account := lookup "v1" "ServiceAccount" .Release.Namespace "hairpin-proxy-controller-sa" | default dict -}}
{{- if dig "metadata" "deletionTimestamp" "" $account -}}
{{- fail (printf "hairpin-proxy is still being uninstalled from %s: try again when ServiceAccount hairpin-proxy-controller-sa is gone there. If that takes more than a minute, no controller runs; end it by: hairpin-proxy cleanup --install-namespace %s" .Release.Namespace .Release.Namespace) -}}
{{- end -}}
{{- $configMap := dig "CONFIGMAP" "" (include "hairpin-proxy.controllerSettings" . | fromYaml) | default "" -}}
{{- if and (not $configMap) (ne $where "kube-system") -}}
{{- fail (printf "coredns.namespace is %s, where the controller does not look by itself: set settings.CONFIGMAP, for example to %s/%s" $where $where (first .Values.coredns.configMaps)) -}}
{{- end -}}
{{- if $configMap -}}
{{- $named := splitList "/" $configMap -}}
{{- if or (ne (first $named) $where) (not (has (last $named) .Values.coredns.configMaps)) -}}
{{- fail (printf "settings.CONFIGMAP is %s, to which the controller gets no right: set coredns.namespace to %s, and add %s to coredns.configMaps" $configMap (first $named) (last $named)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
