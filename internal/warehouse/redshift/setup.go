package redshift

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"firth/internal/warehouse"
)

// passwordPlaceholder stands where the administrator writes the password: 8 to 64 characters, with an upper and a lower case letter
// and a digit, as Redshift asks.
const passwordPlaceholder = "<password>"

// Setup returns the statements that make the least-rights user of a URL, for an administrator to run in the URL's database, followed
// by the policies for the staging store as a comment. The schemas of the sources may exist already; what they then need is said too.
// The password in the URL is not shown.
func Setup(rawURL string, schemas []string) (string, error) {
	return SetupStaged(rawURL, "", schemas)
}

// SetupStaged is Setup with the policies of a staging address; "" leaves placeholders in them.
func SetupStaged(rawURL, staging string, schemas []string) (string, error) {
	if staging == "" {
		staging = "s3://<bucket>/<prefix>"
	}
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.User.Username() == "" || strings.Trim(u.Path, "/") == "" {
		return "", &warehouse.Error{
			Op: "set up", Kind: warehouse.Unexpected, Err: errors.New("the address names no user or no database"),
			Hint: "write it as redshift://user:password@host:5439/database",
		}
	}
	user, database := quote(u.User.Username()), quote(strings.Trim(u.Path, "/"))
	var b strings.Builder
	fmt.Fprintf(&b, "-- Run as an administrator, in the database %s. The password: 8 to 64 characters, with upper and lower case and a digit.\n", database)
	fmt.Fprintf(&b, "CREATE USER %s PASSWORD '%s';\n", user, passwordPlaceholder)
	fmt.Fprintf(&b, "GRANT CREATE, TEMPORARY ON DATABASE %s TO %s;\n", database, user)
	if len(schemas) > 0 {
		b.WriteString("\n-- The user makes the schemas of the sources, and _firth, by itself. Only for those that exist already:\n")
	}
	for _, s := range schemas {
		fmt.Fprintf(&b, "-- GRANT USAGE, CREATE ON SCHEMA %s TO %s;\n", quote(s), user)
		fmt.Fprintf(&b, "-- GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA %s TO %s; and for each table: ALTER TABLE %s.<table> OWNER TO %s;\n", quote(s), user, quote(s), user)
	}
	firth, cluster, err := Policies(staging)
	if err != nil {
		return "", err
	}
	// Line by line: a policy's /* would begin a comment within a comment.
	b.WriteString("\n-- The policy of the staging store for the key pair or role that Firth runs with:\n" + comment(firth))
	b.WriteString("-- and for the role that the cluster reads with (iam_role), which redshift.amazonaws.com may assume:\n" + comment(cluster))
	return b.String(), nil
}

func comment(s string) string { return "-- " + strings.ReplaceAll(s, "\n", "\n-- ") + "\n" }

// policy is an IAM policy document.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Effect    string
	Action    []string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// Policies returns the least IAM policies for a staging address: that of Firth, which writes, lists and removes parts, and that of the
// cluster, which reads them.
func Policies(staging string) (firth, cluster string, err error) {
	rest, ok := strings.CutPrefix(staging, "s3://")
	if !ok {
		return "", "", fmt.Errorf("%q is no address of an object store: want s3://bucket/prefix", staging)
	}
	rest, _, _ = strings.Cut(rest, "?")
	bucket, prefix, _ := strings.Cut(strings.TrimRight(rest, "/"), "/")
	if prefix != "" {
		prefix += "/"
	}
	objects := "arn:aws:s3:::" + bucket + "/" + prefix + "*"
	list := statement{Effect: "Allow", Action: []string{"s3:ListBucket"}, Resource: "arn:aws:s3:::" + bucket}
	if prefix != "" {
		list.Condition = map[string]map[string]string{"StringLike": {"s3:prefix": prefix + "*"}}
	}
	of := func(s ...statement) (string, error) {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		err := e.Encode(policy{"2012-10-17", s})
		return strings.TrimSpace(b.String()), err
	}
	if firth, err = of(list, statement{Effect: "Allow", Action: []string{"s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}, Resource: objects}); err != nil {
		return "", "", err
	}
	// COPY asks for the bucket's region, and lists to wait for objects that were written a moment ago.
	cluster, err = of(
		statement{Effect: "Allow", Action: []string{"s3:GetBucketLocation", "s3:ListBucket"}, Resource: "arn:aws:s3:::" + bucket},
		statement{Effect: "Allow", Action: []string{"s3:GetObject"}, Resource: objects},
	)
	return firth, cluster, err
}
