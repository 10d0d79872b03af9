package googleworkspace

// Flip is one fact of Google's told wrongly: a client's tests must notice.
type Flip struct {
	Name  string
	Apply func(*Facts)
}

// Flips returns the facts that a mutation test tells wrongly, one by one.
func Flips() []Flip { return driveFlips() }
