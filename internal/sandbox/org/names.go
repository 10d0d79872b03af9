package org

// spelling is a name, and how an address spells it.
type spelling struct{ name, plain string }

var givenNames = []spelling{
	{"Alice", "alice"},
	{"Amara", "amara"},
	{"Andrés", "andres"},
	{"Anna", "anna"},
	{"Arjun", "arjun"},
	{"Ben", "ben"},
	{"Bianca", "bianca"},
	{"Carlos", "carlos"},
	{"Chen", "chen"},
	{"Chloé", "chloe"},
	{"Daniel", "daniel"},
	{"Deepa", "deepa"},
	{"Elena", "elena"},
	{"Emil", "emil"},
	{"Emma", "emma"},
	{"Farid", "farid"},
	{"Fatima", "fatima"},
	{"Felix", "felix"},
	{"Grace", "grace"},
	{"Hana", "hana"},
	{"Hugo", "hugo"},
	{"Ibrahim", "ibrahim"},
	{"Ines", "ines"},
	{"Ivan", "ivan"},
	{"Jakub", "jakub"},
	{"Jana", "jana"},
	{"João", "joao"},
	{"Jonas", "jonas"},
	{"Julia", "julia"},
	{"Kenji", "kenji"},
	{"Kim", "kim"},
	{"Lars", "lars"},
	{"Laura", "laura"},
	{"Leila", "leila"},
	{"Linh", "linh"},
	{"Łukasz", "lukasz"},
	{"Maria", "maria"},
	{"Mateo", "mateo"},
	{"Maya", "maya"},
	{"Mehmet", "mehmet"},
	{"Mia", "mia"},
	{"Milan", "milan"},
	{"Nadia", "nadia"},
	{"Nina", "nina"},
	{"Noah", "noah"},
	{"Olga", "olga"},
	{"Omar", "omar"},
	{"Oscar", "oscar"},
	{"Paula", "paula"},
	{"Petra", "petra"},
	{"Priya", "priya"},
	{"Rafael", "rafael"},
	{"Ravi", "ravi"},
	{"Rosa", "rosa"},
	{"Sam", "sam"},
	{"Sara", "sara"},
	{"Sofia", "sofia"},
	{"Søren", "soren"},
	{"Tariq", "tariq"},
	{"Tom", "tom"},
	{"Uma", "uma"},
	{"Vera", "vera"},
	{"Wei", "wei"},
	{"Yuki", "yuki"},
	{"Yusuf", "yusuf"},
	{"Zoë", "zoe"},
}

var familyNames = []spelling{
	{"Adams", "adams"},
	{"Ahmed", "ahmed"},
	{"Almeida", "almeida"},
	{"Andersson", "andersson"},
	{"Bakker", "bakker"},
	{"Bauer", "bauer"},
	{"Becker", "becker"},
	{"Bianchi", "bianchi"},
	{"Brown", "brown"},
	{"Carter", "carter"},
	{"Castro", "castro"},
	{"Costa", "costa"},
	{"Das", "das"},
	{"Diaz", "diaz"},
	{"Dubois", "dubois"},
	{"Evans", "evans"},
	{"Fischer", "fischer"},
	{"Garcia", "garcia"},
	{"Gupta", "gupta"},
	{"Haddad", "haddad"},
	{"Hansen", "hansen"},
	{"Ito", "ito"},
	{"Ivanova", "ivanova"},
	{"Jansen", "jansen"},
	{"Johnson", "johnson"},
	{"Kaya", "kaya"},
	{"Keller", "keller"},
	{"Khan", "khan"},
	{"Kim", "kim"},
	{"Kowalska", "kowalska"},
	{"Larsen", "larsen"},
	{"Lee", "lee"},
	{"Lopez", "lopez"},
	{"Martin", "martin"},
	{"Meyer", "meyer"},
	{"Moreau", "moreau"},
	{"Müller", "mueller"},
	{"Nakamura", "nakamura"},
	{"Nguyen", "nguyen"},
	{"Novak", "novak"},
	{"Nowak", "nowak"},
	{"Okafor", "okafor"},
	{"Olsen", "olsen"},
	{"O'Neil", "oneil"},
	{"Patel", "patel"},
	{"Pereira", "pereira"},
	{"Petrov", "petrov"},
	{"Quinn", "quinn"},
	{"Ramos", "ramos"},
	{"Rossi", "rossi"},
	{"Sato", "sato"},
	{"Schmidt", "schmidt"},
	{"Sharma", "sharma"},
	{"Silva", "silva"},
	{"Singh", "singh"},
	{"Smith", "smith"},
	{"Svensson", "svensson"},
	{"Tanaka", "tanaka"},
	{"Torres", "torres"},
	{"Tran", "tran"},
	{"van Dijk", "vandijk"},
	{"Walker", "walker"},
	{"Wang", "wang"},
	{"Weber", "weber"},
	{"Wilson", "wilson"},
	{"Zhang", "zhang"},
}

// department is a part of the company. engineers is the share of its people
// who have an account where the code is.
type department struct {
	name      string
	weight    int
	engineers float64
	titles    []string
}

var departments = []department{
	{"Engineering", 30, 1, []string{"Software Engineer", "Senior Software Engineer", "Staff Engineer", "Engineering Manager"}},
	{"Platform", 8, 1, []string{"Site Reliability Engineer", "Platform Engineer", "Build Engineer"}},
	{"Data", 6, 0.8, []string{"Data Engineer", "Data Scientist", "Analyst"}},
	{"Security", 4, 0.8, []string{"Security Engineer", "Security Analyst", "Incident Responder"}},
	{"Product", 7, 0.4, []string{"Product Manager", "Designer", "Technical Writer"}},
	{"Sales", 15, 0, []string{"Account Executive", "Sales Engineer", "Sales Manager"}},
	{"Marketing", 7, 0.05, []string{"Campaign Manager", "Editor", "Event Manager"}},
	{"Support", 10, 0.1, []string{"Support Engineer", "Support Specialist"}},
	{"Finance", 5, 0, []string{"Accountant", "Controller", "Buyer"}},
	{"People", 4, 0, []string{"Recruiter", "People Partner"}},
	{"Legal", 2, 0, []string{"Counsel", "Paralegal"}},
	{"IT", 4, 0.3, []string{"System Administrator", "Help Desk Technician", "Identity Engineer"}},
}

// place is where people live. Addresses and AS numbers are those reserved for
// documentation and benchmarks (RFC 5737, 2544, 3849, 5398).
type place struct {
	country, code, city string
	offset              int // hours from UTC
	office              string
	asn                 int64
	weight              int
}

var places = []place{
	{"United States", "US", "New York", -5, "203.0.113.7", 64496, 30},
	{"United States", "US", "Denver", -7, "203.0.113.19", 64497, 10},
	{"Germany", "DE", "Berlin", 1, "203.0.113.33", 64498, 20},
	{"United Kingdom", "GB", "London", 0, "203.0.113.52", 64499, 12},
	{"India", "IN", "Pune", 5, "203.0.113.71", 64500, 14},
	{"Brazil", "BR", "São Paulo", -3, "203.0.113.90", 64501, 6},
	{"Japan", "JP", "Osaka", 9, "203.0.113.104", 64502, 4},
	{"Poland", "PL", "Gdańsk", 1, "203.0.113.121", 64503, 4},
}

// elsewhere are places that nobody works at.
var elsewhere = []place{
	{"Iceland", "IS", "Akureyri", 0, "192.0.2.", 65536, 1},
	{"New Zealand", "NZ", "Nelson", 12, "192.0.2.", 65537, 1},
	{"Chile", "CL", "Temuco", -4, "198.51.100.", 65538, 1},
	{"Kazakhstan", "KZ", "Almaty", 5, "198.51.100.", 65539, 1},
}

var browsers = []string{
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
	"Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
}

const (
	phoneBrowser = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	botAgent     = "git/2.50.1"
	scriptAgent  = "python-requests/2.32.4"
)

var words = []string{
	"amber", "anchor", "aspen", "atlas", "basalt", "beacon", "birch", "bridge", "canyon", "cedar", "cinder", "cobalt", "comet", "coral",
	"delta", "dune", "ember", "falcon", "fjord", "garnet", "glacier", "granite", "harbor", "hazel", "heron", "indigo", "iris", "jasper",
	"juniper", "kestrel", "lagoon", "lantern", "larch", "maple", "meadow", "mesa", "nimbus", "onyx", "orbit", "osprey", "pebble", "pine",
	"prairie", "quartz", "raven", "reef", "ridge", "saffron", "sierra", "slate", "sparrow", "summit", "tundra", "valley", "willow", "zephyr",
}

var purposes = []string{
	"api", "web", "infra", "docs", "worker", "sdk", "cli", "jobs", "models", "gateway", "ui", "tools", "schema", "deploy", "tests", "proxy",
}

// catalog are the apps people sign in to.
var catalog = []struct{ name, label string }{
	{"chat", "Chat"},
	{"wiki", "Wiki"},
	{"mail", "Mail"},
	{"code", "Code"},
	{"tickets", "Tickets"},
	{"crm", "Customer Records"},
	{"payroll", "Payroll"},
	{"expenses", "Expenses"},
	{"video", "Video Calls"},
	{"travel", "Travel Desk"},
	{"calendar", "Calendar"},
	{"board", "Whiteboard"},
	{"survey", "Surveys"},
	{"learning", "Learning"},
	{"vpn", "VPN"},
	{"console", "Cloud Console"},
	{"bi", "Dashboards"},
	{"contracts", "Contracts"},
	{"badge", "Badge Office"},
	{"alerts", "Alerting"},
}

var fileDirs = []string{"", "src/", "src/", "src/internal/", "docs/", "scripts/", "tests/", "config/", "src/handlers/"}

var fileExts = []string{".go", ".go", ".py", ".ts", ".md", ".yaml", ".json", ".sh", ".sql", ".txt", ".png", ""}
