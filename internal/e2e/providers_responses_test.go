package e2e

import (
	"errors"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"
)

// A response is stored by who has made it, and everything that follows finds it there.
func testResponses(t *testing.T, client openai.Client, model string) {
	ctx := t.Context()
	params := responses.ResponseNewParams{Model: model, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Hi!")}}
	first, err := client.Responses.New(ctx, params)
	if model == "anthropic" || model == "gemini" { // which have none
		var refused *openai.Error
		if !errors.As(err, &refused) || refused.StatusCode != 400 || refused.Code != "unsupported_endpoint" {
			t.Errorf("%v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(first.OutputText(), "heard: Hi!") || first.Usage.TotalTokens != 15 {
		t.Errorf("%s", first.RawJSON())
	}
	if again, err := client.Responses.Get(ctx, first.ID, responses.ResponseGetParams{}); err != nil || again.RawJSON() != first.RawJSON() {
		t.Errorf("%v", err)
	}
	params.PreviousResponseID = openai.String(first.ID)
	s := client.Responses.NewStreaming(ctx, params)
	var text string
	var next responses.Response
	for s.Next() {
		event := s.Current()
		switch event.Type {
		case "response.output_text.delta":
			text += event.Delta
		case "response.completed":
			next = event.Response
		}
	}
	if s.Err() != nil || next.OutputText() != text || next.PreviousResponseID != first.ID || strings.Count(text, "heard: Hi!") != 2 {
		t.Errorf("%v: %s", s.Err(), next.RawJSON())
	}
	if _, err := client.Responses.Cancel(ctx, next.ID); err != nil {
		t.Error(err)
	}
	if _, err := client.Responses.InputItems.List(ctx, next.ID, responses.InputItemListParams{}); err != nil {
		t.Error(err)
	}
	if err := client.Responses.Delete(ctx, first.ID); err != nil {
		t.Error(err)
	}
	var gone *openai.Error
	if _, err := client.Responses.Get(ctx, first.ID, responses.ResponseGetParams{}); !errors.As(err, &gone) || gone.StatusCode != 404 {
		t.Errorf("%v", err)
	}
}
