package transport

import "time"

// ForgetCollections makes rescues as free to run the collector as in a new process.
func ForgetCollections() {
	collections.mu.Lock()
	defer collections.mu.Unlock()
	collections.last, collections.pause = time.Time{}, 0
}
