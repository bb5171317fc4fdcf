package gateway

import (
	"sync/atomic"

	"github.com/berrygate/berry/config"
	"github.com/berrygate/berry/core"
)

// accounts makes a model for each enabled provider, which stands for it in calls to an account, such as one for a file. Clients cannot
// request it by name.
func (s *Snapshot) accounts() []*core.Model {
	const name = "files" // in logs and metrics
	var accounts []*core.Model
	for _, e := range s.providers {
		backend := s.backend(&config.Backend{Provider: e.live.ID, Model: name, Weight: 1}, e)
		accounts = append(accounts, &core.Model{Name: name, ProviderID: e.live.ID, Backends: []*core.Backend{backend}, Seq: new(atomic.Uint64)})
	}
	return accounts
}
