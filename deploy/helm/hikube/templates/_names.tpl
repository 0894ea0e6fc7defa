{{- /* Names and labels. Names are fixed: there is one installation for each class, and documents and alerts speak of it by name. */ -}}

{{- define "hikube.namespace" -}}
{{- if ne .Release.Namespace "hikube-system" -}}
{{- fail (printf "hikube is installed into the namespace hikube-system, not %s: the lease of its controllers is there (helm --namespace hikube-system --create-namespace)" .Release.Namespace) -}}
{{- end -}}
hikube-system
{{- end -}}

{{- define "hikube.labels" -}}
{{ include "hikube.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: hikube
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "hikube.selector" -}}
app.kubernetes.io/name: hikube
app.kubernetes.io/component: controller
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "hikube.suffix" -}}
{{- with .Values.class }}-{{ . }}{{ end -}}
{{- end -}}

{{- define "hikube.image" -}}
{{- with .Values.image -}}
{{- if eq .tag "latest" -}}
{{- fail "image.tag is latest: replicas that start at different times would run different versions; name one, or image.digest" -}}
{{- end -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "hikube.reach" -}}
- to:
    {{- range .cidrs }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
  ports:
    {{- range .ports }}
    - protocol: TCP
      port: {{ . }}
    {{- end }}
{{- end -}}
