package github

import "weir/internal/sandbox/org"
import "weir/schemas"

type truth struct {
	h       *Handler
	s       *org.State
	rows    *schemas.Rows
	flavour Flavour
}

func (t truth) accounts()   {}
func (t truth) groups()     {}
func (t truth) privileges() {}
func (t truth) files()      {}
func (t truth) apps()       {}
func (t truth) grants()     {}
func (t truth) activities() {}
