package leaktest_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
)

// The careless are programs that forget to close a body. The golden files have their lines.

func neverClosed(client *http.Client, url string) {
	resp, err := client.Get(url)
	if err != nil || resp.StatusCode != http.StatusOK {
		return
	}
}

func halfRead(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	_, err = io.ReadFull(resp.Body, make([]byte, 1000))
	return err
}

func inALoop(client *http.Client, urls ...string) {
	for _, url := range urls {
		neverClosed(client, url)
	}
}

func buffered(client *http.Client, url string) (string, error) {
	resp, err := client.Post(url, "text/plain", nil)
	if err != nil {
		return "", err
	}
	return bufio.NewReaderSize(resp.Body, 16).ReadString('\n')
}

func cancelled(client *http.Client, url string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	_, err = client.Do(req)
	return err
}

// readsOn goes on in a goroutine that ends after stop is closed.
func readsOn(client *http.Client, url string, stop <-chan struct{}) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	go func() {
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		<-stop
	}()
	return nil
}

// inTheBackground has no frame of its own on the stack that makes the request, nor has anybody else.
func inTheBackground(client *http.Client, url string) {
	go client.Get(url)
}
