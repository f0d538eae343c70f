package demo

import (
	"fmt"
	"slices"
	"time"
)

// Project is what a customer sends data into: a row of the company database, with its usage in another one.
type Project struct {
	ID, Name  string
	Company   *Company
	CreatedAt time.Time

	Library      string   // by which its data comes
	Integrations []string // where its data goes
	ThisMonth    int64    // API calls
	LastMonth    int64
	Members      []*User
	Active       []bool // of the members: whether they looked in this month
}

// projectLibraries are the libraries by which projects send data, and how often each is found.
var projectLibraries = []struct {
	name string
	odds int
}{{"analytics.js", 34}, {"node", 14}, {"python", 12}, {"ios", 13}, {"android", 11}, {"go", 7}, {"java", 6}, {"ruby", 3}}

// makeProjects makes the projects of the companies, of large ones many.
func makeProjects(seed uint64, companies []*Company, today time.Time) []*Project {
	var out []*Project
	for i, c := range companies {
		d := throw(seed, 20, uint64(i))
		n := map[string]int{Free: d.between(1, 2), Pro: d.between(2, 9), Enterprise: d.between(6, 36)}[c.Plan]
		for j := range n {
			out = append(out, makeProject(throw(seed, 21, uint64(i), uint64(j)), len(out), c, today))
		}
	}
	return out
}

func makeProject(d *dice, index int, c *Company, today time.Time) *Project {
	odds := make([]int, len(projectLibraries))
	for i, l := range projectLibraries {
		odds[i] = l.odds
	}
	p := &Project{
		ID: fmt.Sprintf("prj_%08x", uint32(index+1)*3266489917), Company: c, Library: projectLibraries[d.weighted(odds)].name,
		Name: fmt.Sprintf("%s %s %d", c.Name, d.pick(appPages), index+1),
	}
	p.CreatedAt = c.CreatedAt.Add(time.Duration(float64(today.Sub(c.CreatedAt)) * float64(d.below(900)) / 1000)).Truncate(time.Second)
	most := map[string]int{Free: 400_000, Pro: 30_000_000, Enterprise: 420_000_000}[c.Plan]
	share := d.between(1, 100)
	p.ThisMonth = int64(most) / 10_000 * int64(share*share)
	if c.idle || d.chance(0.05) {
		p.ThisMonth = 0
	}
	p.LastMonth = p.ThisMonth * int64(d.between(60, 130)) / 100
	for range d.between(0, 5) {
		if s := d.pick(services); !slices.Contains(p.Integrations, s) {
			p.Integrations = append(p.Integrations, s)
		}
	}
	for _, u := range c.users {
		if u.Role == Administrator || d.chance(0.3) {
			p.Members, p.Active = append(p.Members, u), append(p.Active, !c.idle && d.chance(0.75))
		}
	}
	return p
}

// projectTables are the projects as the company database has them.
func (m *Month) projectTables() []Table {
	projects := Table{Name: "projects", Columns: []Column{{"id", "string"}, {"name", "string"}, {"company_id", "string"}, {"created_at", "timestamp"}}}
	members := Table{Name: "project_members", Columns: []Column{{"project_id", "string"}, {"user_id", "string"}, {"active", "boolean"}}}
	integrations := Table{Name: "project_integrations", Columns: []Column{{"project_id", "string"}, {"integration", "string"}}}
	members.Key, integrations.Key = 2, 2
	for _, p := range m.Projects {
		projects.Rows = append(projects.Rows, []any{p.ID, p.Name, p.Company.ID, p.CreatedAt})
		for i, u := range p.Members {
			members.Rows = append(members.Rows, []any{p.ID, u.ID, p.Active[i]})
		}
		for _, s := range p.Integrations {
			integrations.Rows = append(integrations.Rows, []any{p.ID, s})
		}
	}
	return []Table{projects, members, integrations}
}

// UsageTables returns the other database, in which the product counts.
func (m *Month) UsageTables() []Table {
	usage := Table{Name: "usage", Columns: []Column{{"project", "string"}, {"library", "string"}, {"calls_this_month", "integer"}, {"calls_last_month", "integer"}}}
	for _, p := range m.Projects {
		usage.Rows = append(usage.Rows, []any{p.ID, p.Library, p.ThisMonth, p.LastMonth})
	}
	return []Table{usage}
}
