{{- define "podium.labels" -}}
app.kubernetes.io/name: podium
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "podium.metadata" -}}
name: {{ .root.Release.Name }}-{{ .name }}
labels:
  {{- include "podium.labels" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{/* A part's own values over the defaults. */}}
{{- define "podium.part" -}}
{{- mustMergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (get .root.Values.parts .name | default dict)) | toYaml }}
{{- end }}

{{- define "podium.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* The pod of a part. */}}
{{- define "podium.pod" -}}
{{- $part := include "podium.part" . | fromYaml -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ $part.terminationGracePeriodSeconds }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {{- toYaml ($part.seccompProfile | default (dict "type" "RuntimeDefault")) | nindent 4 }}
containers:
  - name: {{ .name }}
    image: "{{ .root.Values.image.repository }}/{{ $part.image | default "service" }}:{{ .root.Values.image.tag }}"
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: [{{ .facts.module }}]
    securityContext: {{- include "podium.confined" . | nindent 6 }}
    env:
      - { name: PODIUM_LISTEN, value: "0.0.0.0:50051" }
      {{- if eq .name "gateway" }}
      - { name: PODIUM_HTTP_LISTEN, value: "0.0.0.0:8081" }
      {{- end }}
      - { name: PODIUM_METRICS_LISTEN, value: "0.0.0.0:9903" }
      - { name: PODIUM_MESH_ADDRESS, value: "{{ .root.Release.Name }}-envoy:10000" }
      - { name: PODIUM_TLS_DIR, value: /tls }
      - name: PODIUM_REPLICA
        valueFrom: { fieldRef: { fieldPath: metadata.name } }
      - name: PODIUM_ADVERTISE
        valueFrom: { fieldRef: { fieldPath: status.podIP } }
      - { name: PODIUM_VERSION, value: {{ .root.Values.image.tag | quote }} }
      {{- if .facts.drivenBy }}
      - { name: PODIUM_CDP_HOST, value: "0.0.0.0" }
      - { name: PODIUM_CDP_PORT, value: "9222" }
      - name: PODIUM_CDP_PUBLIC_HOST
        valueFrom: { fieldRef: { fieldPath: status.podIP } }
      {{- end }}
      {{- range $key, $value := merge (deepCopy $part.env) .root.Values.settings }}
      - { name: {{ $key }}, value: {{ $value | quote }} }
      {{- end }}
    ports:
      - { name: grpc, containerPort: 50051 }
      - { name: metrics, containerPort: 9903 }
      {{- if eq .name "gateway" }}
      - { name: http, containerPort: 8081 }
      {{- end }}
      {{- if .facts.drivenBy }}
      - { name: cdp, containerPort: 9222 }
      {{- end }}
    # The kubelet has no certificate, so the part asks itself with its own.
    {{- $asks := list "python" "-I" "-S" "/app/deploy/probe.py" "/tls" "50051" }}
    {{- $probe := dict "exec" (dict "command" $asks) "timeoutSeconds" 5 }}
    startupProbe:
      {{- merge (dict "periodSeconds" 1 "failureThreshold" 120) $probe | toYaml | nindent 6 }}
    readinessProbe:
      {{- merge (dict "periodSeconds" 5 "failureThreshold" 2) $probe | toYaml | nindent 6 }}
    livenessProbe:
      {{- merge (dict "periodSeconds" 10 "failureThreshold" 6) $probe | toYaml | nindent 6 }}
    resources: {{- toYaml $part.resources | nindent 6 }}
    volumeMounts:
      - { name: secrets, mountPath: /secrets, readOnly: true }
      - { name: tls, mountPath: /tls, readOnly: true }
      - { name: home, mountPath: /var/lib/podium }
      - { name: tmp, mountPath: /tmp }
      {{- if .facts.drivenBy }}
      - { name: artifacts, mountPath: /var/lib/podium/artifacts }
      - { name: shm, mountPath: /dev/shm }
      {{- end }}
volumes:
  - name: secrets
    secret: { secretName: "{{ .root.Values.secrets.prefix }}-{{ .name }}", defaultMode: 0440 }
  - name: tls
    secret: { secretName: "{{ .root.Values.secrets.prefix }}-{{ .name }}-tls", defaultMode: 0440 }
  - { name: home, emptyDir: {} }
  - { name: tmp, emptyDir: {} }
  {{- if .facts.drivenBy }}
  - name: artifacts
    persistentVolumeClaim: { claimName: "{{ .root.Release.Name }}-artifacts" }
  - name: shm
    emptyDir: { medium: Memory, sizeLimit: 1Gi }
  {{- end }}
{{- end }}

{{/* The agent beside Envoy: it shares Envoy's user, so that both see the files. */}}
{{- define "podium.discovery" -}}
image: "{{ .root.Values.image.repository }}/service:{{ .root.Values.image.tag }}"
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .args }}
securityContext: {{- include "podium.confined" . | nindent 2 }}
env:
  - { name: PODIUM_ENDPOINTS, value: /endpoints }
resources:
  requests: { cpu: 20m, memory: 64Mi }
  limits: { memory: 128Mi }
volumeMounts:
  - { name: endpoints, mountPath: /endpoints }
  - { name: discovery, mountPath: /secrets, readOnly: true }
  - { name: tmp, mountPath: /tmp }
{{- end }}
