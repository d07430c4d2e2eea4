package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/watertight-go/watertight/examples/histories/replays/internal/history"
)

// A loaded is what each client met at a server that was reloaded under load.
type loaded struct {
	Server  string
	Reloads int
	Killed  int              // workers
	Calm    map[string]tally // by transport, before anything was reloaded
	Tallies map[string]tally // while it was
}

// nginxConf is for nginx: 20 requests per connection, and idle ones closed after a second.
const nginxConf = `daemon off;
worker_processes 2;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    keepalive_timeout 1s;
    keepalive_requests 20;
    server {
        listen 127.0.0.1:%[2]d;
        location / { return 200 "here you are"; }
    }
}
`

// apacheConf is for Apache httpd: 20 requests per connection, and idle ones closed after a second.
const apacheConf = `ServerRoot %[1]s
ServerName localhost
Listen 127.0.0.1:%[2]d
PidFile %[1]s/apache.pid
ErrorLog %[1]s/error.log
DefaultRuntimeDir %[1]s
Mutex file:%[1]s default
LoadModule mpm_event_module %[3]s/mod_mpm_event.so
LoadModule authz_core_module %[3]s/mod_authz_core.so
User nobody
Group nogroup
DocumentRoot %[1]s/www
KeepAlive On
KeepAliveTimeout 1
MaxKeepAliveRequests 20
`

// apacheModules is where Debian's package has them.
const apacheModules = "/usr/lib/apache2/modules"

// replayReloads plays nginx and Apache httpd, with both clients, all at once.
func replayReloads(s *history.Stage) ([]*loaded, error) {
	all := []*loaded{{Server: "nginx"}, {Server: "Apache httpd"}}
	s.Say("nginx and Apache httpd: they are reloaded under load")
	errs := make(chan error)
	for _, l := range all {
		go func() { errs <- l.play(s) }()
	}
	var err error
	for range all {
		err = errors.Join(err, <-errs)
	}
	return all, err
}

// start starts the server in a folder of its own.
func (l *loaded) start(s *history.Stage, dir string, port uint16) (*server, error) {
	if l.Server == "nginx" {
		path, err := configure(dir, "nginx.conf", fmt.Sprintf(nginxConf, dir, port))
		if err != nil {
			return nil, err
		}
		return startServer(s, port, "nginx", "-e", dir+"/error.log", "-p", dir, "-c", path)
	}
	if err := os.MkdirAll(filepath.Join(dir, "www"), 0o755); err != nil {
		return nil, err
	}
	if _, err := configure(filepath.Join(dir, "www"), "index.html", "here you are"); err != nil {
		return nil, err
	}
	path, err := configure(dir, "apache.conf", fmt.Sprintf(apacheConf, dir, port, apacheModules))
	if err != nil {
		return nil, err
	}
	return startServer(s, port, "apache2", "-f", path, "-D", "FOREGROUND")
}

// play puts the server under load, first undisturbed.
func (l *loaded) play(s *history.Stage) error {
	dir, err := os.MkdirTemp("", "half-closed-proxy")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil { // the workers are another user's
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	sv, err := l.start(s, dir, ports[0])
	if err != nil {
		return err
	}
	defer sv.keeper.Stop()
	length := history.Pick(s, 1800*time.Millisecond, 6*time.Second)
	if l.Calm, err = underLoad(s, ports[0], length, func() error { return nil }); err != nil {
		return err
	}
	l.Tallies, err = underLoad(s, ports[0], length, func() error {
		for end := time.Now().Add(length - pause); time.Now().Before(end); {
			time.Sleep(pause)
			if err := l.disturb(sv.pid); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// pause is how long a server is left alone between two disturbances.
const pause = 500 * time.Millisecond

// underLoad has both clients make requests, and something done meanwhile.
func underLoad(s *history.Stage, port uint16, length time.Duration, meanwhile func() error) (map[string]tally, error) {
	clients, tallies := map[string]*history.Child{}, map[string]tally{}
	for _, name := range []string{history.Std, history.Ours} {
		c, err := s.Start(roleLoad, loadJob{name, base(port), length})
		if err != nil {
			return nil, err
		}
		defer c.Stop()
		clients[name] = c
	}
	if err := meanwhile(); err != nil {
		return nil, err
	}
	for name, c := range clients {
		var t tally
		if err := c.Receive(&t); err != nil {
			return nil, err
		}
		tallies[name] = t
	}
	return tallies, nil
}

// disturb reloads the server. Every other time it kills a worker of nginx instead.
func (l *loaded) disturb(pid int) error {
	if l.Server != "nginx" {
		l.Reloads++
		return tell(pid, graceful)
	}
	if (l.Reloads+l.Killed)%2 == 0 {
		l.Reloads++
		return tell(pid, reload)
	}
	worker, err := childOf(pid)
	if err != nil {
		return err
	}
	l.Killed++
	return tell(worker, os.Kill)
}

// childOf returns the last child of a process.
func childOf(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	children := strings.Fields(string(text))
	if len(children) == 0 {
		return 0, fmt.Errorf("process %d has no children", pid)
	}
	return strconv.Atoi(children[len(children)-1])
}
