package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// guilty are the methods that forget a body.
var guilty = []string{"panics", "returnsEarly", "failsToDecode", "ignoresTheError"}

// panics finds an article that is not there.
func (s *shop) panics() error {
	resp, err := s.client.Get(backendHost + "/stock")
	if err != nil {
		return err
	}
	var list []article
	first := list[0] // it was to be decoded before
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", first.Name, resp.Body.Close())
}

// returnsEarly looks at the status before it thinks of the body.
func (s *shop) returnsEarly() error {
	resp, err := s.client.Get(backendHost + "/sold-out")
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errSoldOut
	}
	return resp.Body.Close()
}

// failsToDecode closes the body only where it could be decoded.
func (s *shop) failsToDecode() error {
	resp, err := s.client.Get(backendHost + "/garbled")
	if err != nil {
		return err
	}
	var list []article
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return err
	}
	return resp.Body.Close()
}

// ignoresTheError wants to know only whether the backend is there.
func (s *shop) ignoresTheError() error {
	_, err := s.client.Get(backendHost + "/stock")
	return err
}

// careful is how it should be.
func (s *shop) careful(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, backendHost+"/stock", nil)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var list []article
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
