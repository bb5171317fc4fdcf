package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/berrygate/berry/core"
)

// The time to know a user does not depend on how many there are.
func BenchmarkHandle(b *testing.B) {
	for _, count := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("users=%d", count), func(b *testing.B) {
			users := map[Digest]*core.User{}
			token := ""
			for i := range count {
				token = fmt.Sprintf("berry-user-%032d", i)
				users[sha256.Sum256([]byte(token))] = &core.User{ID: fmt.Sprint(i), Enabled: true}
			}
			p, err := New(users, Options{}, &Failures{}, slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			x := &core.Exchange{Request: &http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}}}
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Handle(context.Background(), x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
