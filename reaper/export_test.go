package reaper

// Fire delivers to w an event that was on its way, as the reaper's goroutine does.
func Fire(w *Watch, err error) { w.fire(err) }
