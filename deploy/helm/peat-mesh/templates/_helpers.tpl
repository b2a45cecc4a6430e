{{/* What the objects are called: at most 52 characters, so that a StatefulSet's revisions still fit in a label. */}}
{{- define "peat-mesh.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = .Release.Name | replace "." "-" -}}
{{- if not (contains .Chart.Name $name) -}}
{{- $name = printf "%s-%s" $name .Chart.Name -}}
{{- end -}}
{{- if gt (len $name) 52 -}}
{{- /* Cut short, two long names could become one. */ -}}
{{- $name = printf "%s-%s" ($name | trunc 43 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]" $name) -}}
{{- fail (printf "%q begins with no letter, so no Service can be called so: set fullnameOverride" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "peat-mesh.headless" -}}
{{ include "peat-mesh.fullname" . }}-headless
{{- end -}}

{{- define "peat-mesh.serviceAccountName" -}}
{{- if .Values.serviceAccount.name -}}
{{- .Values.serviceAccount.name -}}
{{- else if .Values.serviceAccount.create -}}
{{- include "peat-mesh.fullname" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "peat-mesh.secretName" -}}
{{- .Values.formation.existingSecret | default (printf "%s-formation" (include "peat-mesh.fullname" .)) -}}
{{- end -}}

{{- define "peat-mesh.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* What tells this release from all others. It never changes, for a StatefulSet's selector cannot. */}}
{{- define "peat-mesh.identity" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "peat-mesh.labels" -}}
{{ include "peat-mesh.identity" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "._-" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Which pods are nodes: the test's pod is none. */}}
{{- define "peat-mesh.nodes" -}}
{{ include "peat-mesh.identity" . }}
app.kubernetes.io/component: node
{{- end -}}

{{- define "peat-mesh.probe" -}}
{{ include "peat-mesh.identity" . }}
app.kubernetes.io/component: test
{{- end -}}

{{/* What discovery selects. A Service hands its labels on to its slices, so the headless one alone may carry it: another
     would list the same pods with other ports. */}}
{{- define "peat-mesh.sliceLabels" -}}
app: peat-mesh
{{ include "peat-mesh.identity" . }}
{{- end -}}

{{- define "peat-mesh.labelSelector" -}}
{{- if .Values.discovery.labelSelector -}}
{{- .Values.discovery.labelSelector -}}
{{- else -}}
app=peat-mesh,app.kubernetes.io/name={{ .Chart.Name }},app.kubernetes.io/instance={{ .Release.Name }}
{{- end -}}
{{- end -}}

{{/* "true" where the Kubernetes API is asked, which takes a token and a Role; else nothing. */}}
{{- define "peat-mesh.asksKubernetes" -}}
{{- if regexMatch "(^|,) *(auto|kubernetes) *(,|$)" .Values.discovery.mode -}}true{{- end -}}
{{- end -}}

{{/* The grace period in seconds: what a node is told to wait, the 5 s in which it then stops in order, and 20 s for a slow
     disk to sync. Whoever is killed before has lost nothing that was acknowledged, but says no goodbye. */}}
{{- define "peat-mesh.gracePeriod" -}}
{{ add (ceil .Values.drainDelay) 25 }}
{{- end -}}

{{- define "peat-mesh.address" -}}
{{- $host := .host -}}
{{- if contains ":" $host -}}{{- $host = printf "[%s]" $host -}}{{- end -}}
{{ $host }}:{{ int .port }}
{{- end -}}

{{/* The container's securityContext: the restricted profile of the Pod Security Standards, and a root that nobody writes. */}}
{{- define "peat-mesh.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "peat-mesh.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
# A volume that is ours already is not walked through: with many files a start would take minutes.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}
