-- The events of {{.Source}}{{with .Span}} {{.}}{{end}}, as they were at {{.AsOf}}: {{.Files}} {{if eq .Files 1}}file{{else}}files{{end}}, {{.Rows}} {{if eq .Rows 1}}row{{else}}rows{{end}}.
-- Merges put larger files in the place of these; after a while, print this anew.
{{- if .Store}}
INSTALL httpfs;
LOAD httpfs;
-- Keys of your own, which read the bucket.
CREATE OR REPLACE SECRET firth_lake (TYPE s3, KEY_ID 'YOUR_ACCESS_KEY', SECRET 'YOUR_SECRET_KEY'{{.Store.Options}}, SCOPE {{.Store.Scope}});
{{- end}}
SET TimeZone = 'UTC';
CREATE OR REPLACE VIEW {{.View}} AS
{{.Select}};
