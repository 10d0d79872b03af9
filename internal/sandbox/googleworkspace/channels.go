package googleworkspace

// channels are what is told of by itself (10).
type channels struct{}

func newChannels() *channels { return &channels{} }

// poke has what was just changed be told at once.
func (*channels) poke() {}

func (c *call) watchUsers() *failure      { return notFound("channel") }
func (c *call) watchActivities() *failure { return notFound("channel") }
func (c *call) stopChannel() *failure     { return notFound("channel") }
