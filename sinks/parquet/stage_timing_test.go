package parquet

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/schemas"
	"weir/sinks"
)

// records makes activities as AWS CloudTrail has them, raw of some 1.2 KB.
func records(r *rand.Rand, n int, day schemas.Time) *schemas.Rows {
	actions := []string{"DescribeInstances", "GetObject", "AssumeRole", "ListBuckets", "PutObject", "StopInstances", "CreateAccessKey", "GetCallerIdentity"}
	services := []string{"ec2.amazonaws.com", "s3.amazonaws.com", "sts.amazonaws.com", "iam.amazonaws.com"}
	rows := &schemas.Rows{Activities: make([]schemas.Activity, n)}
	hex := func(digits int) string { return fmt.Sprintf("%032x%032x", r.Uint64(), r.Uint64())[64-digits:] }
	for i := range rows.Activities {
		user, action, service := r.IntN(200), actions[r.IntN(len(actions))], services[r.IntN(len(services))]
		at := day + schemas.Time(i*40)
		event := fmt.Sprintf("%s-%s-4%s-8%s-%s", hex(8), hex(4), hex(3), hex(3), hex(12))
		request := fmt.Sprintf("%s-%s-4%s-8%s-%s", hex(8), hex(4), hex(3), hex(3), hex(12))
		arn, ip := fmt.Sprintf("arn:aws:sts::111111111111:assumed-role/demo-role-%d/demo-%d", user%7, user), fmt.Sprintf("192.0.2.%d", user)
		instance := fmt.Sprintf("i-%s", hex(17))
		agent := fmt.Sprintf("aws-cli/2.17.%d Python/3.11.8 Linux/5.10.%d exe/x86_64 prompt/off command/%s", user%5, user%11, action)
		rows.Activities[i] = schemas.Activity{
			EventID: event, Time: at, Kind: "admin", Action: action, Access: "read", Outcome: "success", ActorID: fmt.Sprintf("AROAEXAMPLE%04d", user),
			ActorName: fmt.Sprintf("demo-%d", user), ActorKind: "human", EffectiveID: arn, CredentialID: fmt.Sprintf("ASIAEXAMPLE%05d", r.IntN(900)), MFA: schemas.Some(user%2 == 0),
			TargetID: instance, TargetName: instance, TargetKind: "other", TargetIDs: []string{instance}, TargetNames: []string{instance}, TargetKinds: []string{"other"}, TargetCount: 1,
			SrcIP: ip, IPs: []string{ip}, UserAgent: agent, SessionID: fmt.Sprintf("demo-%d", user), RequestID: request, Service: service, Region: "us-east-1", ScopeID: "111111111111",
			ClassUID: 6003, ActivityID: 2, SeverityID: 1, StatusID: 1,
			Raw: fmt.Sprintf(`{"eventVersion":"1.09","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE%04d:demo-%d","arn":"%s","accountId":"111111111111","accessKeyId":"ASIAEXAMPLE%05d",`+
				`"sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROAEXAMPLE%04d","arn":"arn:aws:iam::111111111111:role/demo-role-%d","accountId":"111111111111","userName":"demo-role-%d"},`+
				`"attributes":{"creationDate":"2026-09-10T%02d:00:00Z","mfaAuthenticated":"%t"}}},"eventTime":"2026-09-10T%02d:%02d:%02dZ","eventSource":"%s","eventName":"%s","awsRegion":"us-east-1",`+
				`"sourceIPAddress":"%s","userAgent":"%s","requestParameters":{"instancesSet":{"items":[{"instanceId":"%s"}]},"filterSet":{}},"responseElements":null,"requestID":"%s","eventID":"%s","readOnly":true,`+
				`"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111111111111","eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"%s"}}`,
				user, user, arn, r.IntN(900), user, user%7, user%7, i/3600%24, user%2 == 0, i/3600%24, i/60%60, i%60, service, action, ip, agent, instance, request, event, service),
		}
	}
	return rows
}

// recordsPart is a part of so many rows in batches of 2,000, spread over days.
func recordsPart(t testing.TB, n, days int) *sinks.Part {
	b := newBuilder(t, "activities", 1, "")
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n / 2000 {
		b.add("aws", records(r, 2000, firstDay+schemas.Time(i%days*dayMillis)))
	}
	return &b.part
}

// BenchmarkStage writes 200,000 records a time and reports the bytes of raw a
// second, all CPU time used, and by how much memory grew.
func BenchmarkStage(b *testing.B) {
	for _, days := range []int{1, 30} {
		b.Run(fmt.Sprintf("days=%d", days), func(b *testing.B) {
			p := recordsPart(b, 200_000, days)
			raw := int64(0)
			for i := range p.Batches {
				rec, err := load(p, i)
				require.NoError(b, err)
				raw += int64(rec.Column(int(rec.NumCols()) - 1).Data().Buffers()[2].Len()) //nolint:gosec // small
				rec.Release()
			}
			runtime.GC()
			b.SetBytes(raw)
			heap := watchHeap()
			before, bytes := cpu(), int64(0)
			for b.Loop() {
				bytes = deliver(b, open(b, b.TempDir()), p).Bytes
			}
			b.ReportMetric(float64((cpu()-before).Milliseconds())/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(heap())/1e6, "heap-MB")
			b.ReportMetric(float64(bytes)/1e6, "file-MB")
		})
	}
}

// A part of the default size, of one day and of many, takes a bounded amount of
// memory.
func TestMemory(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("measures memory")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // so that little garbage is counted
	for _, days := range []int{1, 40} {
		p := recordsPart(t, 80_000, days) // 128 MB as Arrow
		runtime.GC()
		heap := watchHeap()
		deliver(t, open(t, t.TempDir()), p)
		grown := heap()
		t.Logf("%d days: the heap grew by %d MB", days, grown/1e6)
		require.Less(t, grown, int64(128e6))
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// watchHeap measures until the function it returns is called, which tells by
// how much the heap had grown at most.
func watchHeap() (grown func() int64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() int64 {
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	base := read()
	peak, stop := base, make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				peak = max(peak, read())
			case <-stop:
				return
			}
		}
	})
	return func() int64 {
		close(stop)
		wg.Wait()
		return peak - base
	}
}
