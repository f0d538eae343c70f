package demo

import (
	"cmp"
	"slices"
	"strconv"
)

// shownRows is how many rows the questions ask for that could have hundreds.
const shownRows = 8

func (m *Month) expectIntegrations() Answer {
	type figures struct {
		projects int
		calls    int64
	}
	count := map[string]*figures{}
	for _, p := range m.Projects {
		if p.ThisMonth <= 100_000_000 {
			continue
		}
		for _, s := range p.Integrations {
			if count[s] == nil {
				count[s] = &figures{}
			}
			count[s].projects++
			count[s].calls += p.ThisMonth
		}
	}
	a := Answer{Columns: []string{"integration", "projects", "calls"}}
	for s, f := range count {
		a.Rows = append(a.Rows, []string{s, strconv.Itoa(f.projects), strconv.FormatInt(f.calls, 10)})
	}
	slices.SortFunc(a.Rows, func(x, y []string) int {
		return cmp.Or(count[y[0]].projects-count[x[0]].projects, cmp.Compare(x[0], y[0]))
	})
	return a
}

func (m *Month) expectMobile() Answer {
	var found []*Project
	for _, p := range m.Projects {
		if p.Library == "ios" || p.Library == "android" {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(x, y *Project) int {
		return cmp.Or(cmp.Compare(y.ThisMonth, x.ThisMonth), cmp.Compare(x.Name, y.Name))
	})
	a := Answer{Columns: []string{"name", "library", "calls"}}
	for _, p := range found[:min(shownRows, len(found))] {
		a.Rows = append(a.Rows, []string{p.Name, p.Library, strconv.FormatInt(p.ThisMonth, 10)})
	}
	return a
}

func (m *Month) expectPower() Answer {
	count := map[string]int{}
	for _, p := range m.Projects {
		for i, u := range p.Members {
			if p.Active[i] {
				count[u.Email]++
			}
		}
	}
	var emails []string
	for email, n := range count {
		if n >= 20 {
			emails = append(emails, email)
		}
	}
	slices.SortFunc(emails, func(x, y string) int { return cmp.Or(count[y]-count[x], cmp.Compare(x, y)) })
	a := Answer{Columns: []string{"email", "projects"}}
	for _, email := range emails[:min(shownRows, len(emails))] {
		a.Rows = append(a.Rows, []string{email, strconv.Itoa(count[email])})
	}
	return a
}
