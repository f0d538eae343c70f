package alert

// Forget takes people out of the texts of all alerts, those that were told and those that are to be, and out of the state file. nameless
// is a text without what names them.
func (a *Alerter) Forget(nameless func(text string) string) error {
	a.mu.Lock()
	for _, al := range a.alerts {
		for _, text := range []*string{&al.Error, &al.Hint, &al.Begun, &al.Ended} {
			if without := nameless(*text); without != *text {
				*text, a.dirty = without, true
			}
		}
	}
	a.mu.Unlock()
	return a.save()
}
