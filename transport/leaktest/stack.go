package leaktest

import (
	"net/http"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
)

// maxFrames bounds a recorded stack, shownFrames what a report shows of it.
const (
	maxFrames   = 64
	shownFrames = 6
)

// callers returns the program counters of the goroutine's stack, from RoundTrip on.
func callers() []uintptr {
	var pcs [maxFrames]uintptr
	return slices.Clone(pcs[:runtime.Callers(3, pcs[:])])
}

// A frame is a line of a stack.
type frame struct {
	function, file string
	line           int
}

// beginsInProgram reports whether the outermost frame of a stack is of the program or a module that it uses.
func beginsInProgram(pcs []uintptr) bool {
	for i := len(pcs) - 1; i >= 0; i-- {
		f := runtime.FuncForPC(pcs[i] - 1)
		if f == nil || f.Name() == "runtime.goexit" {
			continue
		}
		file, _ := f.FileLine(pcs[i] - 1)
		return !isStandard(f.Name(), file) && !isOurs(f.Name())
	}
	return false
}

// usersFrames returns the frames of the program's own files and the modules that it uses, the innermost first: those that called an
// http.Client, as what is beneath it, a RoundTripper of the program's perhaps, did not ask for the response. Where there
// are none, the go statement that started the goroutine; where that is not the program's either, those beneath net/http's client and ours.
func usersFrames(pcs []uintptr, start frame) (users []frame) {
	var others []frame
	inner := 0 // frames beneath the client
	for frames := runtime.CallersFrames(pcs); ; {
		f, more := frames.Next()
		fr := frame{f.Function, f.File, f.Line}
		switch {
		case strings.HasPrefix(f.Function, "net/http.(*Client)."):
			inner = len(users)
		case f.Function == "" || f.Function == "runtime.goexit" || isOurs(f.Function):
		case !isStandard(f.Function, f.File):
			users = append(users, fr)
		case !strings.HasPrefix(f.Function, "net/http.") || len(others) > 0:
			others = append(others, fr)
		}
		if !more {
			break
		}
	}
	switch {
	case len(users) == 0 && start != (frame{}):
		return []frame{start}
	case len(users) == 0:
		return others
	}
	if inner < len(users) {
		return users[inner:]
	}
	return users
}

// shown returns the frames that a report has room for: the innermost, and the first that is of the main module.
func shown(users []frame) []frame {
	if len(users) <= shownFrames {
		return users
	}
	first := slices.IndexFunc(users, func(f frame) bool { return isMain(f.function) })
	if first < shownFrames {
		return users[:shownFrames]
	}
	return append(slices.Clone(users[:shownFrames-1]), users[first])
}

// mainModule is the path of the module that is tested, "" where that is not known.
var mainModule = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return info.Main.Path
})

// isMain reports whether a function is of the main module.
func isMain(function string) bool {
	rest, ok := strings.CutPrefix(function, mainModule())
	return ok && mainModule() != "" && rest != "" && strings.ContainsRune("./_", rune(rest[0]))
}

// packages are those of ours that stand between a program and its connections.
var packages = []string{"transport", "transport/leaktest", "transport/auto", "pool", "reaper", "internal/http1"}

const module = "github.com/watertight-go/watertight/"

// isOurs reports whether a function, by its full name, is of one of our packages; tests of ours are not.
func isOurs(function string) bool {
	rest, ok := strings.CutPrefix(function, module)
	return ok && slices.ContainsFunc(packages, func(p string) bool {
		after, ok := strings.CutPrefix(rest, p)
		return ok && strings.HasPrefix(after, ".")
	})
}

// standardFolder is where the standard library's files are; "" in a binary that was built with -trimpath.
var standardFolder = sync.OnceValue(func() string {
	file, _ := runtime.FuncForPC(reflect.ValueOf(http.Get).Pointer()).FileLine(0)
	folder, _ := strings.CutSuffix(file, "net/http/client.go")
	return folder
})

// isStandard reports whether a function is of the standard library. With -trimpath files say nothing, but its import paths
// have no dot in their first element: nor have those of some programs, of which the main module is known all the same.
func isStandard(function, file string) bool {
	if folder := standardFolder(); folder != "" {
		return strings.HasPrefix(file, folder)
	}
	if isMain(function) {
		return false
	}
	first, _, _ := strings.Cut(function, "/")
	if first != function {
		return !strings.Contains(first, ".")
	}
	return !strings.HasPrefix(function, "main.")
}
