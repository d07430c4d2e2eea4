//go:build linux

package ecosystem_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// clusterTransport returns a Transport for a cluster, and the configuration that uses it. client-go takes another transport only
// where nothing of TLS is left for it to set; tokens, user agents and impersonation it still wraps around.
func clusterTransport(config *rest.Config, tr *transport.Transport) (*rest.Config, error) {
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, err
	}
	tr.TLSClientConfig, tr.ForceAttemptHTTP2 = tlsConfig, true
	if config.Proxy != nil {
		tr.Proxy = config.Proxy
	}
	own := rest.CopyConfig(config)
	own.TLSClientConfig, own.Proxy, own.Transport = rest.TLSClientConfig{}, nil, tr
	return own, nil
}

// cluster starts what is needed of an API server: a version for who has the token, logs that go on, and a watch.
func cluster(t *testing.T) (config *rest.Config, base string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/version", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"gitVersion": r.Proto, "platform": r.Header.Get("Authorization")})
	})
	mux.HandleFunc("/log", func(w http.ResponseWriter, r *http.Request) {
		for i := 0; r.Context().Err() == nil; i++ {
			fmt.Fprintf(w, "line %d\n", i)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond)
		}
	})
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &rest.Config{Host: server.URL, BearerToken: "token", TLSClientConfig: rest.TLSClientConfig{CAData: ca}}, server.URL
}

// restClient returns a client of client-go, which the typed ones of package kubernetes are made of.
func restClient(t *testing.T, config *rest.Config) *rest.RESTClient {
	config.GroupVersion = &schema.GroupVersion{Version: "v1"}
	config.NegotiatedSerializer = serializer.NewCodecFactory(k8sruntime.NewScheme()).WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(config)
	require.NoError(t, err)
	return client
}

func wantVersion(t *testing.T, client *rest.RESTClient) {
	text, err := client.Get().AbsPath("/version").DoRaw(t.Context())
	require.NoError(t, err)
	assert.JSONEq(t, `{"gitVersion": "HTTP/2.0", "platform": "Bearer token"}`, string(text))
}

// Requests and streams go over one HTTP/2 connection; a stream that is closed or cancelled ends, and the connection goes on.
func TestKubernetes(t *testing.T) {
	config, base := cluster(t)
	tr := leaktest.NewTransport(t)
	config, err := clusterTransport(config, tr)
	require.NoError(t, err)
	client := restClient(t, config)
	wantVersion(t, client)
	for _, cancelled := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		log, err := client.Get().AbsPath("/log").Stream(ctx)
		require.NoError(t, err)
		_, err = io.ReadFull(log, make([]byte, 100))
		require.NoError(t, err)
		if cancelled {
			cancel()
			_, err = io.Copy(io.Discard, log)
			require.ErrorIs(t, err, context.Canceled)
		}
		require.NoError(t, log.Close())
		cancel()
		assert.Eventually(t, func() bool { return tr.Stats().Idle == 1 }, patience, time.Millisecond)
	}
	wantVersion(t, client)
	assert.EqualValues(t, 1, tr.Stats().Dials)
	wantSockets(t, base, 1)
}

// A stream of logs that somebody dropped is found and reset.
func TestKubernetesDroppedStream(t *testing.T) {
	config, base := cluster(t)
	tr, leaks := dropping(t)
	config, err := clusterTransport(config, tr)
	require.NoError(t, err)
	client := restClient(t, config)
	func() {
		log, err := client.Get().AbsPath("/log").Stream(context.Background())
		require.NoError(t, err)
		_, err = io.ReadFull(log, make([]byte, 100))
		require.NoError(t, err)
	}()
	wantDropped(t, leaks)
	assert.Eventually(t, func() bool { return tr.Stats().Idle == 1 }, patience, time.Millisecond)
	wantVersion(t, client)
	wantSockets(t, base, 1)
}

// Where client-go has to keep its own transport (exec plugins, certificates that it reloads) a Guard around it finds the bodies that are
// dropped: Wrap is the place.
func TestKubernetesGuarded(t *testing.T) {
	config, base := cluster(t)
	leaks := make(chan transport.Leak, 1)
	var guard *transport.Guard
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper {
		guard = &transport.Guard{Base: rt, OnLeak: func(l transport.Leak) { leaks <- l }}
		return guard
	})
	client := restClient(t, config)
	wantVersion(t, client)
	func() {
		log, err := client.Get().AbsPath("/log").Stream(context.Background())
		require.NoError(t, err)
		_, err = io.ReadFull(log, make([]byte, 100))
		require.NoError(t, err)
	}()
	assert.Len(t, guard.OpenBodies(), 1)
	l := wantDropped(t, leaks)
	assert.Equal(t, base+"/log", l.URL)
	assert.Empty(t, guard.OpenBodies())
	wantSockets(t, base, 1) // client-go's own
	utilnet.CloseIdleConnectionsFor(client.Client.Transport)
	wantSockets(t, base, 0)
}
