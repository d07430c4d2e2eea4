// Package replay plays a history, whose program is in a module of its own: some need other people's clients.
package replay

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
)

// Main plays the history of that name with the process's arguments, and ends the process as it ended.
func Main(name string) {
	err := play(name, os.Args[1:])
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		os.Exit(ended.ExitCode())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func play(name string, args []string) error {
	_, file, _, _ := runtime.Caller(0)
	module := filepath.Join(filepath.Dir(file), "..", "..", "replays")
	if _, err := os.Stat(filepath.Join(module, "go.mod")); err != nil {
		return fmt.Errorf("the replays are not beside their sources; use go run in a clone, without -trimpath: %w", err)
	}
	dir, err := os.MkdirTemp("", name)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program := filepath.Join(dir, name+".exe") // the suffix is Windows', and does no harm elsewhere
	if err := run("go", "-C", module, "build", "-o", program, "./"+name); err != nil {
		return err
	}
	return run(program, args...)
}

// run waits for the command's end. An interrupt reaches the command too, and is left to it.
func run(name string, args ...string) error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	c := exec.Command(name, args...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return c.Run()
}
