package demo

// The words of which the demo's companies, people and things are made.
var (
	companyFirst = []string{
		"Amber", "Birch", "Bright", "Cedar", "Clear", "Copper", "Coral", "Crown", "Delta", "Ember", "Falcon", "Fern", "Granite", "Harbor", "Iron",
		"Juniper", "Lark", "Lumen", "Maple", "Meridian", "North", "Opal", "Orchard", "Pine", "Quartz", "River", "Sable", "Silver", "Summit", "Willow",
	}
	companySecond = []string{
		"Analytics", "Bank", "Books", "Care", "Clinics", "Cloud", "Energy", "Foods", "Freight", "Games", "Health", "Hotels", "Insurance", "Labs",
		"Learning", "Legal", "Logistics", "Media", "Motors", "Networks", "Outdoors", "Pay", "Realty", "Robotics", "Security", "Software", "Studios",
		"Systems", "Travel", "Works",
	}
	industries = []string{"software", "finance", "health", "retail", "logistics", "media", "education", "energy", "travel", "manufacturing"}

	firstNames = []string{
		"Aaliyah", "Aiko", "Anders", "Anna", "Ben", "Camila", "Chidi", "Chloé", "Daniel", "Diego", "Elena", "Emma", "Fatima", "Felix", "Grace",
		"Hana", "Hugo", "Ines", "Ivan", "Jamal", "Jana", "João", "Kai", "Laura", "Leila", "Liam", "Łukasz", "Mara", "Mateo", "Mei", "Mina", "Nadia",
		"Noah", "Olga", "Omar", "Priya", "Ravi", "Rosa", "Sam", "Sofia", "Søren", "Tara", "Thomas", "Uma", "Victor", "Wei", "Yara", "Yusuf", "Zoë",
	}
	lastNames = []string{
		"Adeyemi", "Ahmed", "Almeida", "Andersen", "Bauer", "Bianchi", "Brown", "Castillo", "Chen", "Costa", "Dubois", "Evans", "Fischer", "García",
		"Gupta", "Hansen", "Hoffmann", "Ibrahim", "Ivanova", "Jensen", "Kaya", "Kim", "Kowalski", "Larsen", "Lopez", "Martin", "Meyer", "Moreau",
		"Müller", "Nakamura", "Nguyen", "Novák", "Okafor", "Olsen", "Patel", "Petrov", "Ricci", "Rossi", "Sato", "Schmidt", "Silva", "Singh", "Smith",
		"Svensson", "Tanaka", "Virtanen", "Wang", "Weber", "Wójcik", "Yilmaz",
	}
	titles = []string{"Engineer", "Product Manager", "Analyst", "Designer", "Operations Lead", "Founder", "Account Manager", "Data Scientist"}

	locales   = []string{"en-US", "en-US", "en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "pt-BR", "ja-JP"}
	timezones = []zone{
		{"America/Los_Angeles", -8}, {"America/New_York", -5}, {"America/Sao_Paulo", -3}, {"Europe/London", 0},
		{"Europe/Berlin", 1}, {"Europe/Berlin", 1}, {"Asia/Kolkata", 5}, {"Asia/Tokyo", 9},
	}
	agents = []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:141.0) Gecko/20100101 Firefox/141.0",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
	}
	iphones  = []string{"iPhone15,4", "iPhone16,1", "iPhone17,3", "iPad14,8"}
	androids = []string{"Pixel 8", "Pixel 9", "SM-S921B", "SM-A556E", "CPH2581"}

	appPages  = []string{"Dashboard", "Reports", "Report", "Projects", "Project", "Alerts", "Members", "Settings", "Billing", "Integrations"}
	sitePages = []string{"Home", "Pricing", "Features", "Customers", "Docs", "Blog", "Changelog", "Sign Up"}
	reports   = []string{"Weekly revenue", "Churn by plan", "Activation funnel", "Support backlog", "Sales pipeline", "Cash flow", "Retention", "Delivery times"}
	formats   = []string{"pdf", "csv", "xlsx"}
	sources   = []string{"sidebar", "search", "email", "shortcut"}
	services  = []string{"Slack", "Salesforce", "HubSpot", "Jira", "GitHub", "Zendesk", "Stripe", "Snowflake"}
)

// zone is a time zone with its distance from UTC in hours, summer time left aside.
type zone struct {
	name   string
	offset int
}
