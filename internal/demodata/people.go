package demodata

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// generator holds the randomness of one set of files.
type generator struct {
	rand *rand.Rand
	busy map[string]burst // by account and region
}

// burst is a caller at work: calls come in bursts.
type burst struct {
	at     time.Time
	caller caller
	call   call
}

func newGenerator(src rand.Source) *generator {
	return &generator{rand: rand.New(src), busy: map[string]burst{}}
}

const (
	alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	upper        = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	hexDigits    = "0123456789abcdef"
)

// text returns n random characters of an alphabet.
func (g *generator) text(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[g.rand.IntN(len(alphabet))]
	}
	return string(b)
}

// uuid returns a random UUID of version 4.
func (g *generator) uuid() string {
	var b [36]byte
	hi, lo := g.rand.Uint64(), g.rand.Uint64()
	for i, n := 0, 0; i < len(b); i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			b[i] = '-'
			continue
		}
		bits := hi
		if n >= 16 {
			bits = lo
		}
		b[i] = hexDigits[bits>>(4*(n%16))&15]
		n++
	}
	b[14] = '4'
	b[19] = "89ab"[lo&3]
	return string(b[:])
}

func (g *generator) chance(percent int) bool { return g.rand.IntN(100) < percent }

func pick[T any](g *generator, of []T) T { return of[g.rand.IntN(len(of))] }

// weighted is one choice of several.
type weighted[T any] struct {
	weight int
	value  T
}

func choose[T any](g *generator, of []weighted[T]) T {
	sum := 0
	for _, w := range of {
		sum += w.weight
	}
	n := g.rand.IntN(sum)
	for _, w := range of {
		if n -= w.weight; n < 0 {
			return w.value
		}
	}
	panic("unreachable")
}

// caller is who calls, and from where.
type caller struct {
	identity  string
	ip, agent string
	console   bool
	service   bool // AWS itself, without TLS
}

const people = 12

func userName(n int) string { return fmt.Sprintf("demo-user-%02d", n) }
func email(n int) string    { return userName(n) + "@example.com" }

// home addresses: an office, a few at home, one with IPv6.
func address(n int) string {
	switch {
	case n == 4:
		return "2001:db8:4::1f"
	case n%3 == 0:
		return fmt.Sprintf("192.0.2.%d", 10+n)
	}
	return "198.51.100.23"
}

// Ids that look like AWS's and end in EXAMPLE, as those of its documentation.
func accessKey(n int) string            { return fmt.Sprintf("AKIA%09dEXAMPLE", n) }
func temporaryKey(n uint64) string      { return fmt.Sprintf("ASIA%09dEXAMPLE", n%1e9) }
func userID(n int) string               { return fmt.Sprintf("AIDA%010dEXAMPLE", n) }
func roleID(n uint64) string            { return fmt.Sprintf("AROA%010dEXAMPLE", n%1e10) }
func userARN(acct string, n int) string { return "arn:aws:iam::" + acct + ":user/" + userName(n) }

// hash makes a stable number of a few words.
func hash(words ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, w := range words {
		for i := range len(w) {
			h = (h ^ uint64(w[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return h
}

// began is when the session of name that is valid at a time was started.
func began(name string, at time.Time) time.Time {
	const length = 8 * time.Hour
	offset := time.Duration(hash(name)%uint64(length/time.Second)) * time.Second
	return at.Add(-offset).Truncate(length).Add(offset)
}

// keyUser is an IAM user with a long-lived key.
func keyUser(account string, n int) string {
	return object("type", "IAMUser", "principalId", userID(n), "arn", userARN(account, n), "accountId", account, "accessKeyId", accessKey(n), "userName", userName(n))
}

// consoleUser is an IAM user in a console session.
func consoleUser(account string, n int, at time.Time, mfa bool) string {
	start := began(userName(n), at)
	return object("type", "IAMUser", "principalId", userID(n), "arn", userARN(account, n), "accountId", account,
		"accessKeyId", temporaryKey(hash(userName(n), start.String())), "userName", userName(n),
		"sessionContext", raw(object("attributes", attributes(start, mfa))))
}

func attributes(start time.Time, mfa bool) raw {
	return raw(object("creationDate", start.Format(time.RFC3339), "mfaAuthenticated", fmt.Sprint(mfa)))
}

// assumed is a session of a role. more are further members of sessionContext.
func assumed(account, path, role, session string, at time.Time, mfa bool, more ...any) string {
	return assumedBy(account, path, role, session, at, mfa, "", more...)
}

func assumedBy(account, path, role, session string, at time.Time, mfa bool, invokedBy string, more ...any) string {
	start := began(role+session, at)
	id := roleID(hash(account, role))
	context := append([]any{
		"sessionIssuer", raw(object("type", "Role", "principalId", id, "arn", "arn:aws:iam::"+account+":role"+path+role, "accountId", account, "userName", role)),
		"attributes", attributes(start, mfa),
	}, more...)
	pairs := []any{
		"type", "AssumedRole", "principalId", id + ":" + session, "arn", "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + session,
		"accountId", account, "accessKeyId", temporaryKey(hash(role, session, start.String())), "sessionContext", raw(object(context...)),
	}
	if invokedBy != "" {
		pairs = append(pairs, "invokedBy", invokedBy)
	}
	return object(pairs...)
}

// permissionSets are what people get through IAM Identity Center.
var permissionSets = []string{"AdministratorAccess", "DeveloperAccess", "ReadOnlyAccess"}

// ssoUser is a person who signed in through IAM Identity Center.
func ssoUser(account string, n int, at time.Time) string {
	set := permissionSets[min(n-1, len(permissionSets)-1)]
	role := fmt.Sprintf("AWSReservedSSO_%s_%016x", set, hash(account, set))
	return assumed(account, "/aws-reserved/sso.amazonaws.com/eu-west-1/", role, email(n), at, true)
}

func identityCenterUser(n int) string {
	return object("type", "IdentityCenterUser", "accountId", management,
		"onBehalfOf", raw(object("userId", directoryID(n), "identityStoreArn", "arn:aws:identitystore::"+management+":identitystore/d-9900000000")),
		"credentialId", fmt.Sprintf("%016x%016x", hash("credential", userName(n)), hash("id", userName(n))))
}

// directoryID is a person's id in the Identity Center directory.
func directoryID(n int) string {
	h := hash("directory", userName(n))
	return fmt.Sprintf("9900000000-%08x-%04x-4%03x-8%03x-%012x", uint32(h), uint16(h>>32), h>>48&0xfff, h>>52&0xfff, h&0xffffffffffff)
}

// service is a call that AWS makes for itself.
func service(name string) caller {
	return caller{identity: object("type", "AWSService", "invokedBy", name), ip: name, agent: name, service: true}
}

const (
	agentCLI       = "aws-cli/2.17.9 md/awscrt#0.20.11 ua/2.0 os/linux md/arch#x86_64 lang/python#3.11.8 md/command#"
	agentTerraform = "APN/1.0 HashiCorp/1.0 Terraform/1.9.2 (+https://www.terraform.io) terraform-provider-aws/5.60.0 aws-sdk-go-v2/1.30.3 api/"
	agentBrowser   = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
	agentConsole   = "AWS Internal"
	agentJava      = "aws-sdk-java/2.26.20 Linux/6.1.94-99.176.amzn2023.x86_64 Java/17.0.11"
)

var (
	commands = []string{"s3.ls", "ec2.describe-instances", "sts.get-caller-identity", "iam.list-users", "ssm.get-parameter", "logs.tail"}
	sdkAPIs  = []string{"ec2#1.170.0", "iam#1.34.3", "s3#1.58.2", "ssm#1.52.3", "kms#1.35.3", "sts#1.30.3", "secretsmanager#1.32.4"}
	botos    = []string{
		"Boto3/1.34.51 md/Botocore#1.34.51 ua/2.0 os/linux#6.1.94 md/arch#aarch64 lang/python#3.12.4 exec-env/AWS_Lambda_python3.12 Botocore/1.34.51",
		"Boto3/1.34.144 md/Botocore#1.34.144 ua/2.0 os/linux#5.10.219 md/arch#x86_64 lang/python#3.10.14 Botocore/1.34.144 Resource",
	}
	functions = []string{"demo-ingest", "demo-resize", "demo-notify", "demo-report"}
)

type callerKind func(g *generator, account string, at time.Time) caller

// callers are who calls on a quiet day.
var callers = []weighted[callerKind]{
	{38, func(g *generator, account string, at time.Time) caller { // people in the console
		n := 1 + g.rand.IntN(people)
		if g.chance(30) {
			return caller{identity: ssoUser(account, n, at), ip: address(n), agent: agentConsole, console: true}
		}
		return caller{identity: consoleUser(account, n, at, n%4 != 0), ip: address(n), agent: agentConsole, console: true}
	}},
	{8, func(g *generator, account string, at time.Time) caller { // people with a command line
		n := 1 + g.rand.IntN(people)
		return caller{identity: ssoUser(account, n, at), ip: address(n), agent: agentCLI + pick(g, commands)}
	}},
	{24, func(g *generator, account string, _ time.Time) caller { // long-lived keys
		n := 8 + g.rand.IntN(4)
		return caller{identity: keyUser(account, n), ip: address(n), agent: agentTerraform + pick(g, sdkAPIs)}
	}},
	{9, func(g *generator, account string, at time.Time) caller { // machines
		host := g.rand.IntN(24)
		session := fmt.Sprintf("i-0%016x", hash(account, "instance", fmt.Sprint(host)))
		return caller{
			identity: assumed(account, "/", "demo-web", session, at, false, "ec2RoleDelivery", "2.0"),
			ip:       fmt.Sprintf("203.0.113.%d", 128+host), agent: agentJava,
		}
	}},
	{10, func(g *generator, account string, at time.Time) caller { // functions
		name := pick(g, functions)
		return caller{identity: assumed(account, "/service-role/", name+"-role", name, at, false), ip: fmt.Sprintf("203.0.113.%d", 64+g.rand.IntN(32)), agent: pick(g, botos)}
	}},
	{3, func(_ *generator, account string, at time.Time) caller { // deployments
		return caller{
			identity: assumed(account, "/", "demo-deploy", "GitHubActions", at, false,
				"webIdFederationData", raw(object("federatedProvider", "arn:aws:iam::"+account+":oidc-provider/token.actions.githubusercontent.com", "attributes", raw("{}")))),
			ip: "203.0.113.7", agent: agentTerraform + "sts#1.30.3",
		}
	}},
	{6, func(_ *generator, account string, at time.Time) caller { // AWS with a role of the account
		const name = "autoscaling.amazonaws.com"
		return caller{
			identity: assumedBy(account, "/aws-service-role/"+name+"/", "AWSServiceRoleForAutoScaling", "AutoScaling", at, false, name),
			ip:       name, agent: name, service: true,
		}
	}},
}
