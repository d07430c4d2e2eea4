//go:build !linux

package main

import "errors"

// limitDescriptors cannot do so here.
func limitDescriptors(uint64) error { return errors.ErrUnsupported }
