package unittest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/watertight-go/watertight/examples/unittest"
	"github.com/watertight-go/watertight/transport/leaktest"
)

func users(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if name != "alice" && name != "bob" {
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(unittest.User{Name: name})
}

// client returns a client for a server of the test's. The server ends after the client: cleanups run last first.
func client(t *testing.T) *unittest.Client {
	mux := http.NewServeMux()
	mux.HandleFunc("/users/{name}", users)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &unittest.Client{HTTP: leaktest.NewClient(t), Base: server.URL}
}

func TestUser(t *testing.T) {
	u, err := client(t).User("alice")
	if err != nil || u.Name != "alice" {
		t.Fatal(u, err)
	}
}

func TestExists(t *testing.T) {
	c := client(t)
	for _, name := range []string{"alice", "bob"} {
		if exists, err := c.Exists(name); !exists || err != nil {
			t.Error(name, exists, err)
		}
	}
}
