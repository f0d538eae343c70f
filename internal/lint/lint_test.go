// Package lint holds the house rules that a machine can check; it has tests and nothing else.
package lint

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	maxFile     = 500
	maxFunction = 60
)

// junkDrawers are package names that say nothing about what is inside.
var junkDrawers = []string{"util", "utils", "common", "helpers", "shared", "types", "base", "model", "manager", "misc"}

// exceptions reads exceptions.txt: one offender a line, followed by the reason.
func exceptions(t *testing.T) map[string]bool {
	t.Helper()
	f, err := os.Open("exceptions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		what, reason, ok := strings.Cut(s.Text(), " ")
		if strings.HasPrefix(s.Text(), "#") || s.Text() == "" {
			continue
		}
		if !ok || strings.TrimSpace(reason) == "" {
			t.Errorf("exceptions.txt: %q has no reason", s.Text())
		}
		out[what] = true
	}
	return out
}

type source struct {
	path  string // from the root of the repository
	fset  *token.FileSet
	file  *ast.File
	lines int
}

func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (slices.Contains([]string{".git", "node_modules", "testdata", ".cache"}, d.Name())) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		out = append(out, source{rel, fset, file, strings.Count(string(text), "\n")})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 10 {
		t.Fatalf("only %d Go files were found", len(out))
	}
	return out
}

func TestSizes(t *testing.T) {
	excused := exceptions(t)
	for _, s := range sources(t) {
		if s.lines > maxFile && !excused[s.path] {
			t.Errorf("%s has %d lines; the house likes %d", s.path, s.lines, maxFile)
		}
		for _, decl := range s.file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			n := s.fset.Position(fn.End()).Line - s.fset.Position(fn.Pos()).Line + 1
			if n > maxFunction && !excused[s.path+":"+fn.Name.Name] && !strings.HasSuffix(s.path, "_test.go") {
				t.Errorf("%s:%s has %d lines; the house likes %d", s.path, fn.Name.Name, n, maxFunction)
			}
		}
	}
}

func TestPackagesAreNamedAndExplained(t *testing.T) {
	explained := map[string]bool{}
	for _, s := range sources(t) {
		if slices.Contains(junkDrawers, s.file.Name.Name) {
			t.Errorf("%s: package %s says nothing about what is inside", s.path, s.file.Name.Name)
		}
		explained[filepath.Dir(s.path)] = explained[filepath.Dir(s.path)] || s.file.Doc != nil
	}
	for dir, ok := range explained {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestNoPackageStartsWorkByItself(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function", s.path)
			}
		}
	}
}
