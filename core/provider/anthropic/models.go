package anthropic

import "regexp"

// What a model wants cannot be asked of the API. So those are listed that want something else than today's models do, whose
// list will not grow (https://docs.anthropic.com/en/docs/about-claude/models/overview).
var (
	first    = regexp.MustCompile(`^claude-(instant|2|3-(opus|sonnet|haiku))`)
	second   = regexp.MustCompile(`^claude-3-5-`)
	budgeted = regexp.MustCompile(`^claude-(3-7-sonnet|(opus|sonnet|haiku)-4(-[015])?)(-latest|-20\d{6})?$`)
)

// maxTokens is how long a model's answer may be if the client does not say, in tokens: the Messages API wants a number,
// where OpenAI's takes none for as much as the model can.
func maxTokens(model string) int64 {
	switch {
	case first.MatchString(model):
		return 4096
	case second.MatchString(model):
		return 8192
	default:
		return 32_000
	}
}

// A manner is how a model can be told to think.
type manner int

const (
	adaptive manner = iota // by itself, with an effort
	budget                 // up to a number of tokens
	unable
)

func thinks(model string) manner {
	switch {
	case first.MatchString(model) || second.MatchString(model):
		return unable
	case budgeted.MatchString(model):
		return budget
	default:
		return adaptive
	}
}
