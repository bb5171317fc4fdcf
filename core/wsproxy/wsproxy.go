// Package wsproxy passes messages between a client's WebSocket and a provider's until one side closes.
package wsproxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// A Session decides what passes, and how both sides are closed. FromClient and ClientClosed are called by one goroutine, FromProvider and
// ProviderClosed by another.
type Session interface {
	// FromClient returns what the provider receives of a client's message; nil: nothing. reply, if not nil, goes to the client.
	FromClient(message []byte) (forward, reply []byte)
	// FromProvider returns what the client receives of a provider's message; nil: nothing.
	FromProvider(message []byte) []byte
	// ClientClosed and ProviderClosed return how to close both sides after reading from one has failed.
	ClientClosed(err error) Close
	ProviderClosed(err error) Close
}

// A Close is how both sides are closed.
type Close struct {
	Client, Provider websocket.StatusCode // 0: the side is gone
	Reason           string
	Last             []byte // a message to the client before it is closed; nil: none
}

// An End is what ended a session.
type End int

// The ends of sessions.
const (
	ByTimeout  End = iota // no messages
	ByContext             // the context is done
	ByClient              // the client's side closed, or broke
	ByProvider            // the provider's side closed, or broke
)

// An ending is how a session ends.
type ending struct {
	Close
	by  End
	err error // of the side's last read
}

// goingAway closes both sides.
func goingAway(by End, reason string) ending {
	return ending{Close: Close{Client: websocket.StatusGoingAway, Provider: websocket.StatusGoingAway, Reason: reason}, by: by}
}

// A Proxy passes messages between two sides.
type Proxy struct {
	Session      Session
	WriteTimeout time.Duration // of a message or a pong: a side that reads nothing for so long is disconnected
	IdleTimeout  time.Duration // without a message in either direction

	client, provider side
	latest           atomic.Int64 // time of the latest message, in Unix ns
}

// A side is one of the two WebSockets.
type side struct {
	*websocket.Conn
	busy atomic.Bool // its reader is writing to the other side
}

// Run passes first to the client, and then messages in both directions, until one side closes or ctx is done. When it returns, both sides are
// closed and its goroutines have ended. It returns what ended the session, and the error with which reading that side failed.
func (p *Proxy) Run(ctx context.Context, client, provider *websocket.Conn, kind websocket.MessageType, first []byte) (by End, err error) {
	p.client.Conn, p.provider.Conn = client, provider
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a close handshake needs the readers
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	p.latest.Store(time.Now().UnixNano())
	closed := make(chan ending, 3)
	running.Go(func() {
		if first = p.Session.FromProvider(first); first == nil || p.write(inner, &p.client, kind, first) == nil {
			p.passToClient(inner, closed)
		}
	})
	running.Go(func() { p.passToProvider(inner, closed) })
	running.Go(func() { p.keepAlive(inner, closed) })
	var e ending
	select {
	case e = <-closed:
	case <-ctx.Done():
		e = goingAway(ByContext, "")
	}
	p.close(inner, e.Close)
	return e.by, e.err
}

// passToClient passes the provider's messages until its side closes.
func (p *Proxy) passToClient(ctx context.Context, closed chan<- ending) {
	for {
		kind, message, err := p.provider.Read(ctx)
		if err != nil {
			closed <- ending{p.Session.ProviderClosed(err), ByProvider, err}
			return
		}
		if p.pass(ctx, &p.provider, &p.client, kind, p.Session.FromProvider(message)) != nil {
			return // the client's own reader reports the close
		}
	}
}

// passToProvider passes the client's messages until its side closes.
func (p *Proxy) passToProvider(ctx context.Context, closed chan<- ending) {
	for {
		kind, message, err := p.client.Read(ctx)
		if err != nil {
			closed <- ending{p.Session.ClientClosed(err), ByClient, err}
			return
		}
		forward, reply := p.Session.FromClient(message)
		if reply != nil {
			_ = p.write(ctx, &p.client, websocket.MessageText, reply) // if it fails, the next read does, too
		}
		if p.pass(ctx, &p.client, &p.provider, kind, forward) != nil {
			return // the provider's own reader reports the close
		}
	}
}

// pass writes a message, which may be nil, that was read from one side to the other.
func (p *Proxy) pass(ctx context.Context, from, to *side, kind websocket.MessageType, message []byte) error {
	p.latest.Store(time.Now().UnixNano())
	if message == nil {
		return nil
	}
	from.busy.Store(true)
	defer from.busy.Store(false)
	return p.write(ctx, to, kind, message)
}

func (p *Proxy) write(ctx context.Context, to *side, kind websocket.MessageType, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, p.WriteTimeout)
	defer cancel()
	return to.Write(ctx, kind, message)
}

// keepAlive pings both sides now and then, and ends a session without messages.
func (p *Proxy) keepAlive(ctx context.Context, closed chan<- ending) {
	const checks = 4 // per timeout
	tick := time.NewTicker(min(p.WriteTimeout, p.IdleTimeout) / checks)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if now.Sub(time.Unix(0, p.latest.Load())) > p.IdleTimeout {
				closed <- goingAway(ByTimeout, "nothing was said for too long")
				return
			}
		}
		for _, s := range []*side{&p.client, &p.provider} {
			if p.ping(ctx, s) != nil {
				_ = s.CloseNow() // its reader reports it
			}
		}
	}
}

// ping waits for the side's pong. It does nothing while nothing reads the side.
func (p *Proxy) ping(ctx context.Context, s *side) error {
	if s.busy.Load() {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, p.WriteTimeout)
	defer cancel()
	if err := s.Ping(within); err != nil && ctx.Err() == nil && !s.busy.Load() {
		return err
	}
	return nil
}

// close closes both sides, and waits for their close handshakes, which have a timeout.
func (p *Proxy) close(ctx context.Context, c Close) {
	var closing sync.WaitGroup
	defer closing.Wait()
	end := func(s *side, code websocket.StatusCode) {
		if code == 0 {
			_ = s.CloseNow()
			return
		}
		_ = s.Close(code, c.Reason)
	}
	closing.Go(func() { end(&p.provider, c.Provider) })
	if c.Last != nil {
		_ = p.write(ctx, &p.client, websocket.MessageText, c.Last)
	}
	end(&p.client, c.Client)
}
