//go:build !unix || aix

package reaper

const canPeek = false

func peek(uintptr, []byte) error { return errNoPeek }
