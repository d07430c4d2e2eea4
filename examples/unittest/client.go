package unittest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// A Client talks to the API at a URL.
type Client struct {
	HTTP *http.Client
	Base string
}

// A User is somebody that the API knows.
type User struct {
	Name string `json:"name"`
}

// User returns the user with a name.
func (c *Client) User(name string) (*User, error) {
	resp, err := c.HTTP.Get(c.Base + "/users/" + url.PathEscape(name))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("user %s: %s", name, resp.Status)
	}
	u := new(User)
	if err := json.NewDecoder(resp.Body).Decode(u); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	return u, nil
}
