package googleworkspace

func (c *driveCall) watchFile(mask) *failure    { return noFile("channel") }
func (c *driveCall) watchChanges(mask) *failure { return noFile("channel") }
func (c *driveCall) stopChannel(mask) *failure  { return noFile("channel") }
