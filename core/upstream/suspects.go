package upstream

import "time"

// maxSuspects limits the sources that an upstream remembers, each in some 200 bytes.
const maxSuspects = 1024

// suspects are the sources whose requests failed at one upstream in a way that the requests themselves may have caused, such as a timeout. A
// source's failures take the upstream out of rotation for that source only; for all others they count as one failure until the next success.
// It is not safe for concurrent use; the zero value is empty.
type suspects struct {
	of      map[Source]*suspect
	success uint64 // successes of the upstream so far

	good   Source    // of the latest success
	goodAt time.Time // zero if there was none
}

// vouches is how long a user's success shows that the upstream works, so that another user's failures may be due to their requests.
const vouches = 10 * time.Second

// doubts reports whether a failure may be due to the source's requests: those of another user have succeeded lately.
func (s *suspects) doubts(source Source, now time.Time) bool {
	return s.good.User != source.User && now.Sub(s.goodAt) < vouches
}

type suspect struct {
	health  Health
	counted uint64 // suspects.success + 1 when it last counted for all
}

// succeed records a success for the source at now.
func (s *suspects) succeed(source Source, now time.Time) {
	s.good, s.goodAt = source, now
	if len(s.of) > 0 {
		s.success++
		delete(s.of, source)
	}
}

// fail records a failure of the report's source, and reports whether it counts for all sources.
func (s *suspects) fail(now time.Time, r Report, p Policy) bool {
	x := s.of[r.Source]
	if x == nil {
		if s.of == nil {
			s.of = map[Source]*suspect{}
		}
		s.prune(now)
		if len(s.of) >= maxSuspects {
			return false
		}
		x = &suspect{}
		s.of[r.Source] = x
	}
	x.health.Fail(now, r, p)
	first := x.counted != s.success+1
	x.counted = s.success + 1
	return first
}

// avoids reports whether the upstream is out of rotation for the source at now.
func (s *suspects) avoids(source Source, now time.Time) bool {
	x := s.of[source]
	return x != nil && x.health.Status(now, time.Time{}) == Cooling
}

// prune removes the sources whose last failure is long ago, if there are many.
func (s *suspects) prune(now time.Time) {
	const old = 10 * time.Minute
	if len(s.of) < maxSuspects {
		return
	}
	for source, x := range s.of {
		if now.Sub(x.health.lastFailure) > old {
			delete(s.of, source)
		}
	}
}
