package googleworkspace

func (t *truth) accounts()   {}
func (t *truth) groups()     {}
func (t *truth) privileges() {}
func (t *truth) apps()       {}
func (t *truth) grants()     {}
func (t *truth) activities() {}
