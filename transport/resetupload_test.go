package transport_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// A body that ends with its connection is not whole where the connection was reset, also where the system told that to the upload
// beside it: it says so once, and looks like an end from then on.
func TestResetUnderAnUploadIsNoEnd(t *testing.T) {
	server := badserver.Start(t, badserver.Script{
		badserver.ReadHead{},
		badserver.Write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf"),
		badserver.RST{},
	})
	tr := &transport.Transport{}
	defer func() { assert.NoError(t, tr.Close()) }()
	for range 200 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, io.LimitReader(endless{}, 100<<20))
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			continue // the reset overtook the response
		}
		_, err = io.ReadAll(resp.Body)
		require.Error(t, err)
	}
}

// One that ends with a FIN is whole, whatever becomes of the upload.
func TestEndUnderAnUploadIsOne(t *testing.T) {
	unlessOnWindows(t, resetsDestroy)
	server := badserver.Start(t, badserver.Script{
		badserver.ReadHead{},
		badserver.Write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwhole"),
		badserver.FIN{},
		badserver.Read(1 << 20),
		badserver.RST{},
	})
	tr := &transport.Transport{}
	defer func() { assert.NoError(t, tr.Close()) }()
	for range 50 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, io.LimitReader(endless{}, 100<<20))
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "whole", string(b))
	}
}
