//go:build leak

package unittest

import (
	"net/http"
	"net/url"
)

// Exists reports whether there is a user with a name. It wants the status only, and forgets that there is a body.
func (c *Client) Exists(name string) (bool, error) {
	resp, err := c.HTTP.Get(c.Base + "/users/" + url.PathEscape(name))
	if err != nil {
		return false, err
	}
	return resp.StatusCode == http.StatusOK, nil
}
