package cli

type demoCmd struct{}

// Run implements the command.
func (demoCmd) Run(*console) error { return nil }
