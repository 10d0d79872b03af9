// Package demodata makes CloudTrail log files in the vendor's exact format: a
// small set that tells a story, for the demo, and a large one, for benchmarks.
//
// All of it is invented and shows it: accounts are 111111111111 and the like,
// people are demo-user-01 and so on at example.com, addresses come from the
// ranges kept for documentation, key ids end in EXAMPLE. The same seed and end
// give the same bytes.
//
// Sources: CloudTrail user guide, "CloudTrail record contents", "CloudTrail
// userIdentity element", "CloudTrail log file examples", "CloudTrail digest file
// structure".
package demodata

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Organization is the demo's organization.
const Organization = "o-weirdemo00"

// The demo's accounts: who pays and keeps the logs, what runs, what is tried.
const (
	management = "111111111111"
	production = "222222222222"
	sandbox    = "333333333333"
	partner    = "999999999999" // another organization's
)

var (
	accounts = []string{management, production, sandbox}
	regions  = []string{home, "eu-west-1", "eu-central-1"}
)

// home is the region of the global services: IAM, sign-in, STS.
const home = "us-east-1"

const (
	days = 3
	// delivery is how much time one log file covers. CloudTrail's cover five
	// minutes; these are longer so that there are few of them.
	delivery    = 6 * time.Hour
	perFile     = 110 // records; a busy delivery has several files
	quietEvents = 5800
	lateDays    = 40 // the day under which a file comes late
	plainEvery  = 29 // every so many files is not compressed
)

// Stats says what Write has made, and what a reader should find in it.
type Stats struct {
	Files    int   // all
	LogFiles int   // that hold records: without the digest
	Records  int   // whole ones, those in the damaged file before the cut included
	Distinct int   // of them, by event id
	Damaged  int   // log files that are cut short
	Bytes    int64 // on disk
	From, To time.Time
	Story    Story
}

// Story names what is worth looking for.
type Story struct {
	Intruder string    // the account name that was taken over
	IP       string    // where from
	Account  string    // in which account
	Began    time.Time //
}

// Write makes the demo's files below dir, as an organization trail would have
// delivered them to a bucket by end, three days long.
func Write(dir string, seed uint64, end time.Time) (Stats, error) {
	end = end.UTC().Truncate(time.Minute)
	g := newGenerator(rand.NewPCG(seed, 1))
	began := end.Truncate(24*time.Hour).AddDate(0, 0, -1).Add(19*time.Hour + 12*time.Minute)
	if end.Sub(began) < 90*time.Minute {
		began = began.AddDate(0, 0, -1)
	}
	from := end.AddDate(0, 0, -days)
	events := g.quiet(from, end, quietEvents)
	events = append(events, g.intrusion(began)...)
	events = append(events, g.specimens(end.Add(-30*time.Hour))...)

	w := &writer{dir: dir, ids: map[string]bool{}}
	w.stats.From, w.stats.To = from, end
	w.stats.Story = Story{Intruder: intruder, IP: intruderIP, Account: production, Began: began}
	w.trail(g, events)
	w.special(g, events, end)
	w.stats.Distinct = len(w.ids)
	return w.stats, w.err
}

// writer writes files and counts. After an error it does nothing more.
type writer struct {
	dir   string
	stats Stats
	ids   map[string]bool // event ids that a reader can see
	err   error
}

// trail writes what the organization's trail delivers: for each account, region
// and delivery one file or several.
func (w *writer) trail(g *generator, events []event) {
	slices.SortStableFunc(events, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.region, b.region), a.at.Compare(b.at))
	})
	sameFile := func(a, b *event) bool {
		return a.account == b.account && a.region == b.region && slot(a.at).Equal(slot(b.at))
	}
	n := 0
	for len(events) > 0 {
		end := 1
		for end < len(events) && sameFile(&events[0], &events[end]) {
			end++
		}
		all := events[:end]
		events = events[end:]
		// A delivery's files are of equal size, their records in no order.
		g.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for part := range slices.Chunk(all, (len(all)+len(all)/perFile)/(1+len(all)/perFile)) {
			n++
			name := g.logFile(Organization+"/", part[0].account, "CloudTrail", part[0].region, w.delivered(part))
			data := encodeFile(part)
			if n%plainEvery == 0 {
				w.log(name, data, part) // someone has unpacked it
				continue
			}
			w.log(name+".gz", compress(data), part)
		}
	}
}

// delivered is when a file with these records arrives: minutes after the last.
func (w *writer) delivered(part []event) time.Time {
	last := part[0].at
	for i := range part {
		if part[i].at.After(last) {
			last = part[i].at
		}
	}
	t := last.Truncate(5 * time.Minute).Add(10 * time.Minute)
	if t.After(w.stats.To) {
		return w.stats.To
	}
	return t
}

func slot(t time.Time) time.Time { return t.Truncate(delivery) }

// special writes the files that a collector must know how to take.
func (w *writer) special(g *generator, events []event, end time.Time) {
	yesterday := end.Add(-26 * time.Hour)

	insights := g.insights(yesterday)
	w.log(g.logFile(Organization+"/", production, "CloudTrail-Insight", "eu-west-1", yesterday.Add(40*time.Minute))+".gz", compress(encodeFile(insights)), insights)

	// A member's own trail, older than the organization's, delivers an event a
	// second time.
	twice := events[slices.IndexFunc(events, func(e event) bool { return e.name == "AttachUserPolicy" && e.errorCode == "" })]
	w.log(g.logFile("", twice.account, "CloudTrail", twice.region, twice.at.Truncate(5*time.Minute).Add(10*time.Minute))+".gz", compress(encodeFile([]event{twice})), []event{twice})

	// A file under a day long gone.
	past := end.AddDate(0, 0, -lateDays)
	late := g.quietAt(past, past.Add(10*time.Minute), 8, sandbox, "eu-west-1")
	w.log(g.logFile(Organization+"/", sandbox, "CloudTrail", "eu-west-1", late[len(late)-1].at.Add(6*time.Minute))+".gz", compress(encodeFile(late)), late)

	// A copy that was cut short in the middle: its first records can be read.
	const readable = 17
	cut := g.quietAt(yesterday.Add(-5*time.Minute), yesterday, 40, sandbox, "eu-central-1")
	w.log(g.logFile(Organization+"/", sandbox, "CloudTrail", "eu-central-1", yesterday.Add(6*time.Minute))+".gz", compressCut(cut, readable), cut[:readable])
	w.stats.Damaged++

	digest, name := g.digest(end)
	w.file(name, compress(digest), end.Add(-time.Hour))
}

// log writes a log file of which a reader can see these records.
func (w *writer) log(name string, data []byte, readable []event) {
	for i := range readable {
		w.ids[readable[i].id] = true
	}
	w.stats.Records += len(readable)
	w.stats.LogFiles++
	w.file(name, data, deliveredAt(name))
}

// file writes a file that looks as old as its content.
func (w *writer) file(name string, data []byte, at time.Time) {
	if w.err != nil {
		return
	}
	p := filepath.Join(w.dir, filepath.FromSlash(name))
	if w.err = os.MkdirAll(filepath.Dir(p), 0o755); w.err != nil {
		return
	}
	if w.err = os.WriteFile(p, data, 0o644); w.err != nil {
		return
	}
	if w.err = os.Chtimes(p, at, at); w.err != nil {
		return
	}
	w.stats.Files++
	w.stats.Bytes += int64(len(data))
}

const nameTime = "20060102T1504Z"

// logFile names a log file, without .gz: organization is "" or ends in a slash.
func (g *generator) logFile(organization, account, kind, region string, at time.Time) string {
	return fmt.Sprintf("AWSLogs/%s%s/%s/%s/%s/%s_%s_%s_%s_%s.json", organization, account, kind, region, at.Format("2006/01/02"),
		account, kind, region, at.Format(nameTime), g.text(alphanumeric, 16))
}

// deliveredAt reads the time in a log file's name.
func deliveredAt(name string) time.Time {
	base := filepath.Base(name)
	for i := range base {
		if t, err := time.Parse("_"+nameTime, base[i:min(i+1+len(nameTime), len(base))]); err == nil {
			return t
		}
	}
	return time.Time{}
}
