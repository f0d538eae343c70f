# The events of {{.Source}}{{with .Span}} {{.}}{{end}}, as they were at {{.AsOf}}: {{.Files}} {{if eq .Files 1}}file{{else}}files{{end}}, {{.Rows}} {{if eq .Rows 1}}row{{else}}rows{{end}}.
# Merges put larger files in the place of these; after a while, print this anew.
# pip install duckdb pandas pytz
{{- if .Store}}
import os
{{- end}}

import duckdb

con = duckdb.connect()
{{- if .Store}}
con.execute("INSTALL httpfs")
con.execute("LOAD httpfs")


def text(value):
    return "'" + value.replace("'", "''") + "'"


# Keys of your own, which read the bucket.
session = os.environ.get("AWS_SESSION_TOKEN", "")
con.execute(
    "CREATE OR REPLACE SECRET firth_lake (TYPE s3"
    + ", KEY_ID " + text(os.environ["AWS_ACCESS_KEY_ID"])
    + ", SECRET " + text(os.environ["AWS_SECRET_ACCESS_KEY"])
    + (", SESSION_TOKEN " + text(session) if session else "")
    + {{.Store.Python}}
)
{{- end}}
con.execute("SET TimeZone = 'UTC'")
con.execute({{.Quotes}}
CREATE OR REPLACE VIEW {{.PythonTable}} AS
{{.PythonSelect}}
{{.Quotes}})
