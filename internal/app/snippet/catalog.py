# All tables, as they are whenever they are read, by the catalog of the server. The token is that of a user: users.NAME.token.
# pip install duckdb pandas
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
    con.execute(
        "CREATE OR REPLACE SECRET firth_lake (TYPE s3"
        + ", KEY_ID " + text(os.environ["AWS_ACCESS_KEY_ID"])
        + ", SECRET " + text(os.environ["AWS_SECRET_ACCESS_KEY"])
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
