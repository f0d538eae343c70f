-- All tables, as they are whenever they are read, by the catalog of the server. The token is that of a user: users.NAME.token; any will do without users.
INSTALL iceberg;
LOAD iceberg;
{{- if .Store}}
-- Keys of your own, unless lake.readers has some that the server hands out.
CREATE OR REPLACE SECRET firth_lake (TYPE s3, KEY_ID 'YOUR_ACCESS_KEY', SECRET 'YOUR_SECRET_KEY'{{.Store.Options}}, SCOPE {{.Store.Scope}});
{{- end}}
SET TimeZone = 'UTC';
CREATE OR REPLACE SECRET firth_catalog (TYPE iceberg, TOKEN 'YOUR_TOKEN');
ATTACH '' AS firth (TYPE iceberg, ENDPOINT {{.Endpoint}}, SECRET firth_catalog);
CREATE OR REPLACE TEMP VIEW {{.View}} AS
FROM firth.lake.{{.Table}}{{with .Where}}
{{.}}{{end}};
