package httpx

// RedactText removes from a text what has a secret's name or form. Values that
// only a configuration knows are not known here: see Base.Scrub.
func RedactText(text string) string {
	var none *redactor
	return none.text(text)
}
