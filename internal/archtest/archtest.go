// Package archtest keeps the architecture as docs/architecture.md draws it: its
// tests read the whole tree. Imports flow one way:
//
//	schemas <- sources, sinks <- connectors, sink drivers <- pipeline, configs <- agent <- internal/cli <- main
package archtest
