package relay

import (
	"maps"
	"net/url"
)

// addQuery adds the client's query to the provider's URL, whose own comes first.
func addQuery(u *url.URL, query url.Values) {
	if len(query) == 0 {
		return
	}
	all := u.Query()
	own := maps.Clone(all)
	maps.Copy(all, query)
	maps.Copy(all, own)
	u.RawQuery = all.Encode()
}
