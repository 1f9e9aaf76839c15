{{/* SPDX-License-Identifier: Apache-2.0 */}}

{{/* Labels of every object. */}}
{{- define "berth.labels" -}}
app.kubernetes.io/name: berth
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What selects pods of a component, for ever: no version in it. Takes (component). */}}
{{- define "berth.selector" -}}
app.kubernetes.io/name: berth
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* Takes (dict "root" . "image" .Values.x.image). */}}
{{- define "berth.image" -}}
{{- $values := .root.Values.image -}}
{{- $name := .image.repository -}}
{{- if $values.registry }}{{ $name = printf "%s/%s" (trimSuffix "/" $values.registry) $name }}{{ end -}}
{{- if .image.digest }}{{ printf "%s@%s" $name .image.digest }}{{ else }}{{ printf "%s:%s" $name ($values.tag | default .root.Chart.AppVersion) }}{{ end -}}
{{- end }}

{{- define "berth.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Whether Helm itself is at work on a cluster, rather than rendering text: "true", or nothing. */}}
{{- define "berth.live" -}}
{{- if lookup "v1" "Namespace" "" "kube-system" }}true{{ end -}}
{{- end }}

{{/* A duration such as 1m30s or 200ms in milliseconds. */}}
{{- define "berth.milliseconds" -}}
{{- $factor := dict "ms" 1.0 "s" 1000.0 "m" 60000.0 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+(ms|s|m)" . -1 -}}
{{- $unit := regexFind "[a-z]+" . -}}
{{- $sum = addf $sum (mulf (get $factor $unit) (float64 (trimSuffix $unit .))) -}}
{{- end -}}
{{- $sum -}}
{{- end }}

{{/* What the controller would refuse at its start. */}}
{{- define "berth.checkTimes" -}}
{{- $heartbeat := float64 (include "berth.milliseconds" .Values.heartbeat) -}}
{{- if lt $heartbeat 10.0 }}{{ fail (printf "heartbeat is %s; it must be 10ms or more" .Values.heartbeat) }}{{ end -}}
{{- if lt (float64 (include "berth.milliseconds" .Values.agentTimeout)) (mulf 2.0 $heartbeat) -}}
{{- fail (printf "agentTimeout is %s, less than twice heartbeat (%s): one late heartbeat would move addresses" .Values.agentTimeout .Values.heartbeat) -}}
{{- end -}}
{{- end }}

{{/* Flags of the controller; the one that uninstalls decides by the same rules. */}}
{{- define "berth.controllerFlags" -}}
- --source=kubernetes
- --leader-elect
- --load-balancer-class={{ .Values.loadBalancerClass }}
- --sharing={{ .Values.sharing }}
- --namespace-binding={{ .Values.namespaceBinding }}
{{- if .Values.manageUnclassed }}
- --manage-unclassed
{{- end }}
{{- if .Values.ignoreExcludeLabel }}
- --ignore-exclude-label
{{- end }}
- --agent-listen=:7443
- --admin-listen=127.0.0.1:7444
- --http-listen=:8080
- --log-level={{ .Values.log.level }}
- --log-format={{ .Values.log.format }}
{{- end }}

{{/* A controller needs nothing of its host. */}}
{{- define "berth.controllerPodSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "berth.controllerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "berth.controllerEnv" -}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}

{{/* Keys and certificates as files, which gRPC and the webhook read: from the Secret, in memory, never on a disk. */}}
{{- define "berth.controllerMounts" -}}
- {name: state, mountPath: /var/lib/berth/controller}
{{- end }}

{{- define "berth.controllerVolumes" -}}
- name: state
  emptyDir: {medium: Memory, sizeLimit: 16Mi}
{{- end }}

{{/* Annotations of a webhook's CEL: what an object has, an empty map when it has none. Takes the object's name. */}}
{{- define "berth.celAnnotations" -}}
(has({{ . }}.metadata.annotations) ? {{ . }}.metadata.annotations : {})
{{- end }}

{{/* The schema of a LabelSelector for nodes, with what controller/plan/validate.cc says of one. */}}
{{- define "berth.nodeSelectorFields" -}}
properties:
  matchLabels:
    type: object
    description: Labels that a node must have, with these values.
    additionalProperties: {type: string}
  matchExpressions:
    type: array
    maxItems: 64
    description: Conditions that a node's labels must all meet.
    items:
      type: object
      required: [key, operator]
      x-kubernetes-validations:
        - rule: "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)"
          message: "In and NotIn need values, Exists and DoesNotExist take none"
          fieldPath: .values
      properties:
        key: {type: string, minLength: 1, description: A label's key.}
        operator: {type: string, enum: [In, NotIn, Exists, DoesNotExist], description: How its value is compared.}
        values:
          type: array
          description: Values for In and NotIn; none for the other two.
          items: {type: string}
{{- end }}
