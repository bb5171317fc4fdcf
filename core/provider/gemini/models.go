package gemini

import (
	"regexp"
	"strings"
)

// What a model wants cannot be asked of the API. So those are listed that want something else than today's models do, whose
// list will not grow (https://ai.google.dev/gemini-api/docs/thinking).
var (
	early    = regexp.MustCompile(`^(models/)?gemini-(1\.|2\.0-|pro)`)
	budgeted = regexp.MustCompile(`^(models/)?gemini-2\.5-`)
)

// unsigned is Google's own word for a call whose signature is not known, since another model has made it
// (https://ai.google.dev/gemini-api/docs/thought-signatures).
const unsigned = "skip_thought_signature_validator"

// wantsSignatures tells whether the model refuses calls of tools that bear no signature.
func wantsSignatures(model string) bool {
	return !early.MatchString(model) && !budgeted.MatchString(model)
}

type thinking struct {
	Budget *int   `json:"thinkingBudget,omitempty"`
	Level  string `json:"thinkingLevel,omitempty"`
}

// think returns how the model is told the effort; nil if it cannot be. Where a model has no such level, it is the next. (The
// numbers are those of Google's own OpenAI-compatible API, https://ai.google.dev/gemini-api/docs/openai.)
func think(model, effort string) *thinking {
	levels := map[string]string{"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH"}
	budgets := map[string]int{"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 24_576}
	if early.MatchString(model) {
		return nil
	}
	if budgeted.MatchString(model) {
		budget := budgets[effort]
		return &thinking{Budget: &budget}
	}
	level, ok := levels[effort]
	switch {
	case !ok: // none: these models always think
		return nil
	case level == "MINIMAL" && strings.Contains(model, "-pro"):
		level = "LOW"
	}
	return &thinking{Level: level}
}
