# All tables, as they are whenever they are read, by the catalog of the server. FIRTH_TOKEN is the token of a user: users.NAME.token; any will
# do without users.
# pip install duckdb pandas pytz
import os

import duckdb

con = duckdb.connect()
con.execute("INSTALL iceberg")
con.execute("LOAD iceberg")


def text(value):
    return "'" + value.replace("'", "''") + "'"

{{if .Store}}
# Keys of your own, unless lake.readers has some that the server hands out.
if "AWS_ACCESS_KEY_ID" in os.environ:
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
con.execute("CREATE OR REPLACE SECRET firth_catalog (TYPE iceberg, TOKEN " + text(os.environ["FIRTH_TOKEN"]) + ")")
con.execute("ATTACH '' AS firth (TYPE iceberg, ENDPOINT " + text({{.PythonEndpoint}}) + ", SECRET firth_catalog)")
con.execute({{.Quotes}}
CREATE OR REPLACE TEMP VIEW {{.PythonTable}} AS
FROM firth.lake.{{.PythonTable}}{{with .Where}}
{{.}}{{end}}
{{.Quotes}})
