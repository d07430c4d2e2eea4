//go:build !leak

package unittest

import (
	"net/http"
	"net/url"
)

// Exists reports whether there is a user with a name.
func (c *Client) Exists(name string) (bool, error) {
	resp, err := c.HTTP.Get(c.Base + "/users/" + url.PathEscape(name))
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK, nil
}
