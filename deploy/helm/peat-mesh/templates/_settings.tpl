{{/* The settings of peatd that this chart makes, as JSON: name in peatd's file -> value. What is empty is peatd's own. */}}
{{- define "peat-mesh.settings" -}}
{{- $values := .Values -}}
{{- $host := $values.listenAddress -}}
{{- $settings := dict
      "data_dir" "/data"
      "formation_secret_file" "/var/run/secrets/peat/formation-secret"
      "bind" (include "peat-mesh.address" (dict "host" $host "port" $values.mesh.port))
      "api" (include "peat-mesh.address" (dict "host" $host "port" $values.api.port))
      "discovery" $values.discovery.mode
      "formation" $values.formation.name
      "key_file" $values.keyFile
      "annotation_prefix" $values.discovery.annotationPrefix
      "poll_interval" $values.discovery.pollInterval
      "peer" (join "," $values.peers)
      "relay" (join "," $values.relayUrls)
      "engine" $values.engine.name
      "engine_workers" $values.engine.workers
      "log_level" $values.log.level
      "log_format" $values.log.format
      "drain_delay" $values.drainDelay
-}}
{{- if include "peat-mesh.asksKubernetes" . -}}
{{- $_ := set $settings "namespace" $values.discovery.namespace -}}
{{- $_ := set $settings "label_selector" (include "peat-mesh.labelSelector" .) -}}
{{- end -}}
{{- if $values.clients.enabled -}}
{{- $_ := set $settings "clients" (include "peat-mesh.address" (dict "host" $host "port" $values.clients.port)) -}}
{{- $_ := set $settings "client_origin" (join "," $values.clients.origins) -}}
{{- $_ := set $settings "demo_page" $values.clients.demoPage -}}
{{- end -}}
{{- $made := dict -}}
{{- range $name, $value := $settings -}}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) -}}{{- $_ := set $made $name (toString $value) -}}{{- end -}}
{{- end -}}
{{- toJson $made -}}
{{- end -}}

{{/* The variable of a setting. */}}
{{- define "peat-mesh.variable" -}}
{{- $others := dict
      "api" "PEAT_API_BIND"
      "clients" "PEAT_CLIENTS_BIND"
      "client_origin" "PEAT_CLIENT_ORIGINS"
      "peer" "PEAT_STATIC_PEERS"
      "relay" "PEAT_RELAY_URLS"
-}}
{{- get $others . | default (printf "PEAT_%s" (upper .)) -}}
{{- end -}}

{{/* The container's variables, ours and the operator's, each once. */}}
{{- define "peat-mesh.environment" -}}
{{- /* Other names of what is made below: peatd refuses to be told twice. */ -}}
{{- $variables := list "PEAT_IROH_BIND_PORT" "PEAT_BROKER_PORT" "PEAT_FORMATION_SECRET" -}}
{{- range $name, $value := include "peat-mesh.settings" . | fromJson -}}
{{- $variable := include "peat-mesh.variable" $name -}}
{{- $variables = append $variables $variable }}
- name: {{ $variable }}
  value: {{ $value | quote }}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if has .name $variables -}}
{{- fail (printf "extraEnv sets %s, which is set already: use its own value (see values.yaml)" .name) -}}
{{- end -}}
{{- $variables = append $variables .name -}}
{{- end -}}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* Refuses what would have no effect, or keep the daemon from starting. */}}
{{- define "peat-mesh.check" -}}
{{- include "peat-mesh.checkSecret" . -}}
{{- include "peat-mesh.checkConfig" . -}}
{{- include "peat-mesh.checkVolumes" . -}}
{{- $ports := list (int .Values.mesh.port) (int .Values.api.port) -}}
{{- if .Values.clients.enabled -}}
{{- $ports = append $ports (int .Values.clients.port) -}}
{{- else if or .Values.clients.origins .Values.clients.demoPage -}}
{{- fail "clients.origins and clients.demoPage have no effect without clients.enabled: set it, or remove them" -}}
{{- end -}}
{{- if ne (len $ports) (len (uniq $ports)) -}}
{{- fail "mesh.port, api.port and clients.port share a port: give each its own" -}}
{{- end -}}
{{- end -}}

{{- define "peat-mesh.checkSecret" -}}
{{- $formation := .Values.formation -}}
{{- if and $formation.secret $formation.existingSecret -}}
{{- fail "formation.secret and formation.existingSecret are both set: keep one of the two" -}}
{{- end -}}
{{- if not $formation.existingSecret -}}
{{- $lines := compact (splitList "\n" (replace "\r" "" $formation.secret)) -}}
{{- if not $lines -}}
{{- fail "there is no formation secret, and nodes meet by it alone: make one with `peat secret new --out secret` and add --set-file formation.secret=secret, or name a Secret that holds one in formation.existingSecret" -}}
{{- end -}}
{{- range $index, $line := $lines -}}
{{- $line = trim $line -}}
{{- if not (regexMatch "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$" $line) -}}
{{- fail (printf "line %d of formation.secret is not base64: make one with `peat secret new`" (add1 $index)) -}}
{{- end -}}
{{- $size := len (b64dec $line) -}}
{{- if lt $size 16 -}}
{{- fail (printf "line %d of formation.secret has %d bytes, at least 16 are needed: make one with `peat secret new`" (add1 $index) $size) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "peat-mesh.checkConfig" -}}
{{- $file := fromToml .Values.config -}}
{{- if hasKey $file "Error" -}}
{{- fail (printf "config is not TOML: %s" $file.Error) -}}
{{- end -}}
{{- $made := include "peat-mesh.settings" . | fromJson -}}
{{- $elsewhere := dict "clients" "clients.enabled" "namespace" "discovery.namespace" "node_id" "nothing, a node is called like its pod" -}}
{{- range $key, $_ := $file -}}
{{- if or (hasKey $made $key) (and (eq $key "peers") (hasKey $made "peer")) -}}
{{- fail (printf "config sets %s, which a value of this chart sets already: remove one of the two" $key) -}}
{{- end -}}
{{- if hasKey $elsewhere $key -}}
{{- fail (printf "config sets %s: remove it, and use %s" $key (get $elsewhere $key)) -}}
{{- end -}}
{{- end -}}
{{- if and (or .Values.peers (hasKey $file "peers") (hasKey $file "peer")) (not (regexMatch "(^|,) *(auto|static) *(,|$)" .Values.discovery.mode)) -}}
{{- fail (printf "peers are listed, but discovery.mode is %q: add static to it, or remove the peers" .Values.discovery.mode) -}}
{{- end -}}
{{- end -}}

{{- define "peat-mesh.checkVolumes" -}}
{{- $names := list "data" "formation-secret" "config" -}}
{{- range .Values.extraVolumes -}}
{{- if has .name $names -}}{{- fail (printf "extraVolumes has a volume %q, which is there already: give it another name" .name) -}}{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $paths := list "/data" "/var/run/secrets/peat" "/etc/peat" -}}
{{- range .Values.extraVolumeMounts -}}
{{- if not (has .name $names) -}}{{- fail (printf "extraVolumeMounts mounts %q, which extraVolumes does not have" .name) -}}{{- end -}}
{{- if has (clean .mountPath) $paths -}}{{- fail (printf "extraVolumeMounts mounts at %s, where something is mounted already" .mountPath) -}}{{- end -}}
{{- $paths = append $paths (clean .mountPath) -}}
{{- end -}}
{{- end -}}
